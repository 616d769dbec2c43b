# Threads for the library's own loops: those of LibTorch and oneDNN, which have GCC's OpenMP. With another
# compiler's there would be two in a process; then compile() takes oneDNN's loop, and others have one thread.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  find_package(OpenMP COMPONENTS CXX QUIET)
endif()
if(OpenMP_CXX_FOUND)
  target_link_libraries(convkit PRIVATE gomp)  # by name, for the installed package to be moved
endif()
