# record.py records modules of Python; the tests and `convkit compare` compare ours with them.

set(recordings ${parity}/recordings)
set(record ${python} ${PROJECT_SOURCE_DIR}/apps/convkit/record.py)
foreach(module Small Dead Several)
  set(inputs 2,3,15,11)
  set(flags "")
  if(module STREQUAL Small)
    set(flags --train)
  elseif(module STREQUAL Dead)
    set(flags --as-is)
  else()
    set(inputs 2,4 --input 2,3)
  endif()
  add_test(NAME compare.${module}.file
           COMMAND ${record} ${scripts}/recorded.py:${module} --input ${inputs} ${flags}
                   -o ${recordings}/${module}.safetensors)
  set_tests_properties(compare.${module}.file PROPERTIES FIXTURES_SETUP compare)
endforeach()
set_tests_properties(compare PROPERTIES FIXTURES_REQUIRED compare
  ENVIRONMENT "OMP_NUM_THREADS=1;CONVKIT_PARITY=${parity}")

# This test holds what record.py says of mistakes.
add_test(NAME record COMMAND ${python} ${scripts}/record_test.py)

# This app compares a module of its own.
set(file ${recordings}/tiny_net.safetensors)
add_test(NAME compare.tiny_net.file
         COMMAND ${record} ${PROJECT_SOURCE_DIR}/apps/tiny_net.py:TinyNet --input 2,3,32,32 --train -o ${file})
set_tests_properties(compare.tiny_net.file PROPERTIES FIXTURES_SETUP tiny_net)
if(TARGET tiny_net)
  add_test(NAME compare.tiny_net COMMAND tiny_net ${file})
  set_tests_properties(compare.tiny_net PROPERTIES FIXTURES_REQUIRED tiny_net
                       ENVIRONMENT OMP_NUM_THREADS=1)
endif()

# Adds the entries for one network: one records it, one compares it, one removes the file.
function(convkit_comparison name label)
  set(made ${name})
  set(kwargs {})
  if(name MATCHES "^unet_(.*)$")
    set(made unet)
    set(kwargs "{\"encoder\": \"${CMAKE_MATCH_1}\"}")
  endif()
  set(file ${recordings}/${name}.safetensors)
  add_test(NAME compare.${name}.file
           COMMAND ${record} ${scripts}/recorded.py:${made} --input 2,3,64,96 --train --kwargs ${kwargs} -o ${file})
  add_test(NAME compare.${name} COMMAND convkit_tool compare ${name} ${file} --compiled)
  add_test(NAME compare.${name}.clean COMMAND ${CMAKE_COMMAND} -E rm -f ${file})
  set_tests_properties(compare.${name}.file PROPERTIES FIXTURES_SETUP compare.${name})
  set_tests_properties(compare.${name} PROPERTIES FIXTURES_REQUIRED compare.${name}
                       ENVIRONMENT OMP_NUM_THREADS=1)
  set_tests_properties(compare.${name}.clean PROPERTIES FIXTURES_CLEANUP compare.${name})
  set_tests_properties(compare.${name}.file compare.${name} compare.${name}.clean PROPERTIES LABELS ${label})
endfunction()
