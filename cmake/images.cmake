# What read_image() and write_image() read JPEG and PNG files by, where the machine has it: libjpeg (of
# libjpeg-turbo, whose pixels are Pillow's) and libpng.
foreach(format JPEG PNG)
  set(CONVKIT_${format} AUTO CACHE STRING "Whether images are read from ${format}: AUTO (if found), ON, OFF")
  set_property(CACHE CONVKIT_${format} PROPERTY STRINGS AUTO ON OFF)
  set(convkit_${format} FALSE)
  if(CONVKIT_${format})
    find_package(${format} QUIET GLOBAL)
    set(convkit_${format} ${${format}_FOUND})
    if(NOT convkit_${format} AND CONVKIT_${format} STREQUAL "AUTO")
      message(STATUS "convkit: read_image() goes without ${format}: its library was not found")
    elseif(NOT convkit_${format})
      message(FATAL_ERROR "CONVKIT_${format} is ${CONVKIT_${format}}, but its library was not found.\n"
                          "What to do: install it, pass -D ${format}_ROOT=<its prefix>, or "
                          "-D CONVKIT_${format}=OFF.")
    endif()
  endif()
  if(convkit_${format})
    target_link_libraries(convkit PRIVATE ${format}::${format})
  endif()
endforeach()
