# Language level, warnings, sanitizers, compiler cache, linker.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LINK_DEPENDS_NO_SHARED ON)
set(FEDMETA_SANITIZE "" CACHE STRING "Value of -fsanitize=, e.g. address,undefined")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

add_library(fedmeta_options INTERFACE)
target_compile_options(fedmeta_options INTERFACE -Wall -Wextra -Wconversion -Wshadow)
if(FEDMETA_WARNINGS_AS_ERRORS)
  target_compile_options(fedmeta_options INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 to 14: false alarms about copies inside std::string.
  target_compile_options(fedmeta_options INTERFACE -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow)
endif()
# Hidden rounding differences between scalar and vector code would break bit-equality.
target_compile_options(fedmeta_options INTERFACE -ffp-contract=off)

if(FEDMETA_SANITIZE)
  add_compile_options(-fsanitize=${FEDMETA_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FEDMETA_SANITIZE})
  if(FEDMETA_SANITIZE MATCHES "thread")
    target_compile_options(fedmeta_options INTERFACE -Wno-tsan)
  endif()
endif()

find_program(FEDMETA_CCACHE ccache)
if(FEDMETA_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # The sloppiness that ccache's manual asks for with precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${FEDMETA_CCACHE})
  add_compile_options(-fpch-preprocess)
endif()
find_program(FEDMETA_LLD ld.lld)
if(FEDMETA_LLD)
  add_link_options(-fuse-ld=lld)
endif()

# Sources include "fedmeta/ROOM/file.h" from the first commit, installed or not.
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/include")
file(CREATE_LINK "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}/include/fedmeta" SYMBOLIC)
