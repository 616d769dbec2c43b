# What only our own build has: warnings, and one precompiled header for the apps and tests.

# .ci/run fails on any.
add_library(convkit_warnings INTERFACE)
target_compile_options(convkit_warnings INTERFACE -Wall -Wextra -Wpedantic)

# LibTorch's headers cost 20 s a file, and its inlined templates 10 s more in the optimizer; apps and
# tests spend their time inside LibTorch, which -O1 does not slow down. With -O0 the tests that read JSON
# take three times as long.
add_library(convkit_development INTERFACE)
target_include_directories(convkit_development INTERFACE ${PROJECT_SOURCE_DIR}/include)
target_compile_features(convkit_development INTERFACE cxx_std_20)
target_compile_options(convkit_development INTERFACE -O1)
target_link_libraries(convkit_development INTERFACE torch convkit_warnings)

file(CONFIGURE OUTPUT precompiled.cpp CONTENT "")
add_library(convkit_precompiled OBJECT EXCLUDE_FROM_ALL ${CMAKE_CURRENT_BINARY_DIR}/precompiled.cpp)
target_link_libraries(convkit_precompiled PRIVATE convkit_development)
target_precompile_headers(convkit_precompiled PRIVATE
  <torch/nn/cloneable.h>
  <torch/nn/modules/activation.h>
  <torch/nn/modules/batchnorm.h>
  <torch/nn/modules/conv.h>
  <torch/nn/pimpl.h>)

# Our own code's flags and precompiled header for a target that links what it needs of convkit.
function(convkit_develop target)
  target_link_libraries(${target} PRIVATE convkit_development)
  target_precompile_headers(${target} REUSE_FROM convkit_precompiled)
endfunction()

# add_executable() for our apps and tests.
function(convkit_executable name)
  add_executable(${name} ${ARGN})
  if(NOT ARGN MATCHES "\\.o(;|$)")  # nothing is compiled of what is borrowed
    convkit_develop(${name})
  endif()
  target_link_libraries(${name} PRIVATE convkit::convkit)
endfunction()
