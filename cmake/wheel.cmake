# What the wheel has beside the library, its headers and its config: the tool, oneDNN, licences, and what Python has
# to know of the build. pyproject.toml has the Python side.
foreach(package onednn JPEG PNG gloo)
  if(NOT convkit_${package})
    message(FATAL_ERROR "convkit: the wheel is built with ${package}, which was not found")
  endif()
endforeach()

# LibTorch's checks say in which file they stand: not by the folders of the machine that built the wheel.
foreach(objects IN LISTS convkit_all_objects)
  target_compile_options(${objects} PRIVATE -fmacro-prefix-map=${TORCH_INSTALL_PREFIX}/include=torch
                                            -fmacro-prefix-map=${PROJECT_SOURCE_DIR}=convkit)
endforeach()

# LibTorch is beside the package, and its CMake target with it: convkit-torch.cmake makes that.
set_property(TARGET convkit PROPERTY INTERFACE_LINK_LIBRARIES
             $<BUILD_INTERFACE:torch> $<INSTALL_INTERFACE:convkit::torch>)
configure_file(cmake/convkit-torch.cmake.in convkit-torch.cmake @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/convkit-torch.cmake DESTINATION ${package_folder})

set_target_properties(convkit_tool PROPERTIES INSTALL_RPATH "$ORIGIN/../lib;$ORIGIN/../../torch/lib")
install(TARGETS convkit_tool DESTINATION bin)

# Under the names by which the library asks for them, since a wheel has no links. zlib is on every system that has a
# Python, and on the list of what a wheel for manylinux may expect.
foreach(target DNNL::dnnl JPEG::JPEG PNG::PNG)
  get_target_property(file ${target} LOCATION)
  file(REAL_PATH "${file}" file)
  execute_process(COMMAND ${CMAKE_OBJDUMP} -p "${file}" OUTPUT_VARIABLE headers COMMAND_ERROR_IS_FATAL ANY)
  if(NOT headers MATCHES "SONAME +([^\n]+)")
    message(FATAL_ERROR "convkit: the wheel brings shared libraries, which ${file} is not")
  endif()
  install(FILES "${file}" DESTINATION lib RENAME "${CMAKE_MATCH_1}")
  install(CODE "execute_process(COMMAND \"${CMAKE_STRIP}\" --strip-unneeded
    \"\${CMAKE_INSTALL_PREFIX}/lib/${CMAKE_MATCH_1}\" COMMAND_ERROR_IS_FATAL ANY)")
endforeach()

configure_file(cmake/_built.py.in _built.py @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/_built.py DESTINATION .)

# The licence of what is inside: a file of that name, in the folder or above it.
function(convkit_license name folder)
  file(REAL_PATH "${folder}" folder)
  while(TRUE)
    foreach(pattern IN LISTS ARGN)
      file(GLOB found "${folder}/${pattern}")
      if(found)
        list(GET found 0 found)
        install(FILES "${found}" DESTINATION licenses RENAME "${name}")
        return()
      endif()
    endforeach()
    cmake_path(GET folder PARENT_PATH parent)
    if(parent STREQUAL folder)
      list(JOIN ARGN ", " patterns)
      message(FATAL_ERROR "convkit: the wheel has to have the licence of ${name}, but there is no ${patterns}")
    endif()
    set(folder "${parent}")
  endwhile()
endfunction()
convkit_license(oneDNN "${dnnl_DIR}" "share/doc/*dnn*/LICENSE")
convkit_license(oneDNN-third-party "${dnnl_DIR}" "share/doc/*dnn*/THIRD-PARTY-PROGRAMS")
convkit_license(libjpeg-turbo "${JPEG_INCLUDE_DIR}" "share/doc/libjpeg*turbo*-dev/copyright")
convkit_license(libpng "${PNG_PNG_INCLUDE_DIR}" "share/doc/libpng-dev/copyright")
convkit_license(Gloo "${Gloo_INCLUDE_DIR}" "share/doc/libgloo-dev/copyright")
convkit_license(CLI11 "${CLI11_DIR}" "share/doc/libcli11-dev/copyright")
convkit_license(nlohmann-json "${nlohmann_json_DIR}" "share/doc/nlohmann-json3-dev/copyright")
convkit_license(fmt "${TORCH_INSTALL_PREFIX}"
                "torch-*.dist-info/licenses/third_party/fmt/LICENSE" "share/doc/libfmt-dev/copyright")
