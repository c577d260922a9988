# Everything comes from the distribution (cmake/packages.txt); a newer LibTorch through CMAKE_PREFIX_PATH.
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(Boost REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(Torch REQUIRED)
if(NOT TARGET yaml-cpp::yaml-cpp)  # yaml-cpp before 0.8
  add_library(yaml-cpp::yaml-cpp ALIAS yaml-cpp)
endif()
find_program(FEDMETA_PROTOC protoc REQUIRED)
find_program(FEDMETA_GRPC_PLUGIN grpc_cpp_plugin REQUIRED)

# LibTorch behind one target: its headers are system headers (their warnings are not ours).
add_library(fedmeta_libtorch INTERFACE)
target_link_libraries(fedmeta_libtorch INTERFACE ${TORCH_LIBRARIES})
target_include_directories(fedmeta_libtorch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
separate_arguments(_fedmeta_torch_flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
target_compile_options(fedmeta_libtorch INTERFACE ${_fedmeta_torch_flags})
