# Trainings by several processes.
add_test(NAME parallel COMMAND convkit_train_tests [parallel])
set_tests_properties(parallel PROPERTIES SKIP_RETURN_CODE 4 ENVIRONMENT OMP_NUM_THREADS=1)
if(convkit_gloo AND ParityPython_EXECUTABLE)
  set(folder ${parity}/parallel)
  set(program $<TARGET_FILE:convkit_parallel>)
  set(torchrun "${ParityPython_EXECUTABLE} -m torch.distributed.run --standalone --no-python")
  set(reference "${ParityPython_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/parity/parallel.py")
  foreach(processes 2 4)
    add_test(NAME parallel.${processes}
             COMMAND sh -c "${torchrun} --nproc-per-node ${processes} ${program} ${folder}")
  endforeach()
  # The second process is killed once, and all go on where they were.
  add_test(NAME parallel.restart COMMAND sh -c "rm -f ${folder}/resume.pt && \
${torchrun} --nproc-per-node 2 --max-restarts 1 ${program} ${folder} ${folder}/resume.pt")
  set_tests_properties(parallel.2 parallel.4 parallel.restart PROPERTIES FIXTURES_REQUIRED references)
  add_test(NAME parallel.lost
           COMMAND ${ParityPython_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/train/lost.py ${program})
  # A hundred steps.
  add_test(NAME parallel.long COMMAND sh -c
           "${reference} ${folder}/long 100 && ${torchrun} --nproc-per-node 2 ${program} ${folder}/long")
  set_tests_properties(parallel.long PROPERTIES LABELS slow)
  set_tests_properties(parallel.2 parallel.4 parallel.restart parallel.lost parallel.long PROPERTIES
    PROCESSORS 2 COST 20 ENVIRONMENT OMP_NUM_THREADS=1)
endif()

# Gloo's headers are older than the Gloo in LibTorch, so nothing of theirs may be compiled into the library.
if(convkit_gloo AND CMAKE_NM)
  add_test(NAME parallel.symbols
    COMMAND sh -c "! ${CMAKE_NM} -C \"$@\" | \
grep -E ' [A-TV-Za-z] ((vtable|typeinfo|VTT)[a-z ]* for )?(gloo::|c10d::ProcessGroupGloo::GlooStore)'"
            nm $<TARGET_OBJECTS:convkit_train>
    COMMAND_EXPAND_LISTS)
endif()
