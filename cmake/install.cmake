# cmake --install: the library, its headers, and a config that needs LibTorch alone.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/convkit)

install(TARGETS convkit EXPORT convkitTargets
        FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT convkitTargets NAMESPACE convkit:: DESTINATION ${package_folder})
# A static library leaves linking oneDNN, libjpeg and libpng to the program.
set(convkit_needs_onednn FALSE)
set(convkit_needs_formats "")
if(NOT BUILD_SHARED_LIBS)
  set(convkit_needs_onednn ${convkit_onednn})
  foreach(format JPEG PNG)
    if(convkit_${format})
      list(APPEND convkit_needs_formats ${format})
    endif()
  endforeach()
  list(JOIN convkit_needs_formats " " convkit_needs_formats)
endif()
configure_package_config_file(cmake/convkitConfig.cmake.in convkitConfig.cmake
                              INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(convkitConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/convkitConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/convkitConfigVersion.cmake
        DESTINATION ${package_folder})

# A shared library exports what CONVKIT_API marks and nothing of the templates that it instantiates;
# it finds LibTorch and oneDNN where it was built with them, without help of the program that loads it.
if(BUILD_SHARED_LIBS)
  set(version_script ${PROJECT_SOURCE_DIR}/cmake/exports.map)
  target_link_options(convkit PRIVATE LINKER:--version-script=${version_script})
  set_target_properties(convkit PROPERTIES
    LINK_DEPENDS ${version_script}
    INSTALL_RPATH "${TORCH_INSTALL_PREFIX}/lib;$<$<BOOL:${convkit_onednn}>:$<TARGET_FILE_DIR:DNNL::dnnl>>;\
$<$<BOOL:${convkit_JPEG}>:$<TARGET_FILE_DIR:JPEG::JPEG>>;$<$<BOOL:${convkit_PNG}>:$<TARGET_FILE_DIR:PNG::PNG>>"
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
endif()
