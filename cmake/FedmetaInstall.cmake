# `cmake --install`: static libraries, headers, schemas, programs and the package that find_package(fedmeta) finds.
# Every target in the global property FEDMETA_ROOMS is exported as fedmeta::<EXPORT_NAME>.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(fedmeta_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/fedmeta)

# What the libraries were compiled and linked with travels with them; warnings are asked for by this project only.
set_target_properties(fedmeta_options PROPERTIES EXPORT_NAME options)
set_target_properties(fedmeta_libtorch PROPERTIES EXPORT_NAME libtorch)
install(TARGETS fedmeta_options fedmeta_libtorch EXPORT fedmeta)

get_property(fedmeta_rooms GLOBAL PROPERTY FEDMETA_ROOMS)
list(REMOVE_DUPLICATES fedmeta_rooms)
foreach(room IN LISTS fedmeta_rooms)
  get_target_property(header_sets ${room} INTERFACE_HEADER_SETS)
  if(header_sets)
    install(TARGETS ${room} EXPORT fedmeta ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
            FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  else()
    install(TARGETS ${room} EXPORT fedmeta ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
            INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  endif()
endforeach()

install(DIRECTORY ${CMAKE_BINARY_DIR}/generated/fedmeta DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.pb.h")
install(DIRECTORY ${CMAKE_SOURCE_DIR}/proto/fedmeta DESTINATION ${CMAKE_INSTALL_DATADIR}/fedmeta/proto
        FILES_MATCHING PATTERN "*.proto")
install(DIRECTORY ${CMAKE_SOURCE_DIR}/configs/experiments DESTINATION ${CMAKE_INSTALL_DATADIR}/fedmeta)
foreach(program fedmeta fedmeta-learn fedmeta-coordinator)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()

install(EXPORT fedmeta NAMESPACE fedmeta:: FILE fedmetaTargets.cmake DESTINATION ${fedmeta_package_dir})
set(fedmeta_proto_dir ${CMAKE_INSTALL_DATADIR}/fedmeta/proto)
configure_package_config_file(
  ${CMAKE_SOURCE_DIR}/cmake/fedmetaConfig.cmake.in ${CMAKE_BINARY_DIR}/package/fedmetaConfig.cmake
  INSTALL_DESTINATION ${fedmeta_package_dir} PATH_VARS fedmeta_proto_dir)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/fedmetaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/package/fedmetaConfig.cmake ${CMAKE_BINARY_DIR}/package/fedmetaConfigVersion.cmake
        DESTINATION ${fedmeta_package_dir})
