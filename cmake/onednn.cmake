# compile()'s engine, where the machine has one: oneDNN 3.2 or newer. Version 2 has another interface,
# and a thread pool that is not LibTorch's OpenMP would compete with it for the cores.
set(CONVKIT_ONEDNN AUTO CACHE STRING "Whether compile() computes by oneDNN: AUTO (if found), ON, OFF")
set_property(CACHE CONVKIT_ONEDNN PROPERTY STRINGS AUTO ON OFF)

set(convkit_onednn FALSE)
if(CONVKIT_ONEDNN)
  set(CMAKE_POLICY_VERSION_MINIMUM 3.5)  # oneDNN's config asks for 2.6, which CMake 4 refuses
  find_package(dnnl 3.2 CONFIG QUIET GLOBAL)
  unset(CMAKE_POLICY_VERSION_MINIMUM)
  if(NOT dnnl_FOUND)
    set(convkit_onednn_lacks "oneDNN 3.2 or newer was not found")
  elseif(NOT DNNL_CPU_THREADING_RUNTIME STREQUAL "OMP")
    set(convkit_onednn_lacks "oneDNN in ${dnnl_DIR} has the threads of \
${DNNL_CPU_THREADING_RUNTIME}, not of OpenMP")
  else()
    set(convkit_onednn TRUE)
  endif()
  if(NOT convkit_onednn AND CONVKIT_ONEDNN STREQUAL "AUTO")
    message(STATUS "convkit: compile() goes without oneDNN: ${convkit_onednn_lacks}")
  elseif(NOT convkit_onednn)
    message(FATAL_ERROR "CONVKIT_ONEDNN is ${CONVKIT_ONEDNN}, but ${convkit_onednn_lacks}.\nWhat to do: \
pass -D dnnl_DIR=<the CMake folder of a oneDNN for OpenMP>, or -D CONVKIT_ONEDNN=OFF.")
  endif()
endif()

if(convkit_onednn)
  message(STATUS "convkit: oneDNN ${dnnl_VERSION} at ${dnnl_DIR}")
  target_link_libraries(convkit PRIVATE DNNL::dnnl)
endif()
