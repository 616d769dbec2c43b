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
set(convkit_format_roots "")
foreach(package JPEG PNG ZLIB)
  if(${package}_ROOT)
    string(APPEND convkit_format_roots
           "if(NOT DEFINED ${package}_ROOT)\n  set(${package}_ROOT [[${${package}_ROOT}]])\nendif()\n")
  endif()
endforeach()
configure_package_config_file(cmake/convkitConfig.cmake.in convkitConfig.cmake
                              INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(convkitConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/convkitConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/convkitConfigVersion.cmake
        DESTINATION ${package_folder})

# A shared library exports what CONVKIT_API marks and nothing of the templates that it instantiates;
# it finds LibTorch and oneDNN where it was built with them, without help of the program that loads it.
if(BUILD_SHARED_LIBS)
  set(rpath ${TORCH_INSTALL_PREFIX}/lib)
  if(convkit_onednn)
    list(APPEND rpath $<TARGET_FILE_DIR:DNNL::dnnl>)
  endif()
  foreach(format JPEG PNG)
    if(convkit_${format} AND ${format}_ROOT)
      list(APPEND rpath $<TARGET_FILE_DIR:${format}::${format}>)
    endif()
  endforeach()
  set(version_script ${PROJECT_SOURCE_DIR}/cmake/exports.map)
  target_link_options(convkit PRIVATE LINKER:--version-script=${version_script})
  set_target_properties(convkit PROPERTIES
    LINK_DEPENDS ${version_script}
    INSTALL_RPATH "${rpath}"
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
endif()
