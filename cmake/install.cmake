# cmake --install: the library, its headers, and a config that needs LibTorch alone.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/convkit)

# A shared and a static library may stand in one prefix: each has files of its own beside the config.
set(convkit_kind static)
if(BUILD_SHARED_LIBS)
  set(convkit_kind shared)
endif()
set(namelink "")
if(CONVKIT_WHEEL)
  set(namelink LIBRARY NAMELINK_SKIP)  # a wheel has no links, and CMake's config no need of this one
endif()
install(TARGETS convkit EXPORT convkitTargets ${namelink}
        FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT convkitTargets NAMESPACE convkit:: DESTINATION ${package_folder}
        FILE convkit-${convkit_kind}-targets.cmake)

# A static library leaves linking oneDNN, libjpeg and libpng to the program: they are where it was built with them,
# unless told otherwise.
set(convkit_needs "")
if(NOT BUILD_SHARED_LIBS)
  if(convkit_onednn)
    string(APPEND convkit_needs "set(convkit_policy_minimum \"\${CMAKE_POLICY_VERSION_MINIMUM}\")
set(CMAKE_POLICY_VERSION_MINIMUM 3.5)  # oneDNN's config asks for 2.6, which CMake 4 refuses
find_dependency(dnnl 3.2 CONFIG HINTS [[${dnnl_DIR}]])
set(CMAKE_POLICY_VERSION_MINIMUM \"\${convkit_policy_minimum}\")\n")
  endif()
  foreach(package JPEG PNG ZLIB)
    if(${package}_ROOT)
      string(APPEND convkit_needs
             "if(NOT DEFINED ${package}_ROOT)\n  set(${package}_ROOT [[${${package}_ROOT}]])\nendif()\n")
    endif()
  endforeach()
  foreach(format JPEG PNG)
    if(convkit_${format})
      string(APPEND convkit_needs "find_dependency(${format})\n")
    endif()
  endforeach()
endif()
set(convkit_find_torch "find_dependency(Torch)")
if(CONVKIT_WHEEL)
  set(convkit_find_torch [[include("${CMAKE_CURRENT_LIST_DIR}/convkit-torch.cmake")]])
endif()
string(REGEX MATCH "^[0-9]+\\.[0-9]+" convkit_torch_minor "${Torch_VERSION}")
configure_package_config_file(cmake/convkitConfig.cmake.in convkitConfig.cmake
                              INSTALL_DESTINATION ${package_folder})
configure_file(cmake/convkit-kind.cmake.in convkit-${convkit_kind}.cmake @ONLY)
write_basic_package_version_file(convkitConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/convkitConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/convkit-${convkit_kind}.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/convkitConfigVersion.cmake
        DESTINATION ${package_folder})

# A shared library exports what CONVKIT_API marks and nothing of the templates that it instantiates;
# it finds LibTorch and oneDNN where it was built with them, without help of the program that loads it,
# and that of the wheel beside its package.
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
  if(CONVKIT_WHEEL)
    set(rpath $ORIGIN $ORIGIN/../../torch/lib)
  endif()
  set(version_script ${PROJECT_SOURCE_DIR}/cmake/exports.map)
  target_link_options(convkit PRIVATE LINKER:--version-script=${version_script})
  set_target_properties(convkit PROPERTIES
    LINK_DEPENDS ${version_script}
    INSTALL_RPATH "${rpath}"
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  if(NOT CONVKIT_WHEEL)
    set_target_properties(convkit PROPERTIES VERSION ${PROJECT_VERSION})
  endif()
endif()
