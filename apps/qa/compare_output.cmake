# cmake -D app=APP -D expected=FILE -P compare_output.cmake: APP prints FILE, and it has a --help
# and refuses unknown options.
execute_process(COMMAND ${app} OUTPUT_FILE ${app}.actual COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${expected} ${app}.actual
                RESULT_VARIABLE different)
if(different)
  file(READ ${app}.actual actual)
  message(FATAL_ERROR "${app} prints something else than ${expected}:\n${actual}")
endif()

execute_process(COMMAND ${app} --help OUTPUT_VARIABLE help RESULT_VARIABLE code)
if(NOT code EQUAL 0 OR NOT help MATCHES "Example: ")
  message(FATAL_ERROR "${app} --help exits with ${code} and prints:\n${help}")
endif()
execute_process(COMMAND ${app} --no-such-option OUTPUT_VARIABLE output ERROR_VARIABLE error
                RESULT_VARIABLE code)
if(NOT code EQUAL 2 OR NOT output STREQUAL "" OR NOT error MATCHES "--no-such-option")
  message(FATAL_ERROR "${app} --no-such-option exits with ${code} and prints:\n${output}${error}")
endif()
