# record.py records modules of Python; the tests and `convkit compare` compare ours with them.

# Appends to `list` the command of together.py that records MODULE:CALLABLE.
function(convkit_record list callable file)
  set(${list} ${${list}} -- ${PROJECT_SOURCE_DIR}/apps/convkit/record.py ${callable} ${ARGN} -o ${file} PARENT_SCOPE)
endfunction()

set(recordings ${parity}/recordings)
convkit_record(references ${scripts}/recorded.py:Small ${recordings}/Small.safetensors
               --input 2,3,15,11 --train --fresh)
convkit_record(references ${scripts}/recorded.py:Dead ${recordings}/Dead.safetensors
               --input 2,3,15,11 --as-is)
convkit_record(references ${scripts}/recorded.py:Several ${recordings}/Several.safetensors
               --input 2,4 --input 2,3)
convkit_record(references ${scripts}/recorded.py:Faces ${recordings}/Faces.safetensors
               --input 2,3,20,20 --input 2,32 --train)
convkit_record(references ${scripts}/recorded.py:Faces ${recordings}/FacesByName.safetensors
               --input 2,3,20,20 --input 2,32 --kwargs [=[{"names":["probability","boxes","points"]}]=])
set(trained_net ${scripts}/recorded.py:Trained)
convkit_record(references ${trained_net} ${recordings}/TrainedSGD.safetensors --input 4,3,10,10 --steps 25
               --optim-kwargs [=[{"lr":0.05,"momentum":0.9,"weight_decay":0.0001}]=])
convkit_record(references ${trained_net} ${recordings}/TrainedAdamW.safetensors --input 4,3,10,10 --steps 25
               --optimizer AdamW --optim-kwargs [=[{"lr":0.01,"betas":[0.8,0.99]}]=])
convkit_record(references ${trained_net} ${recordings}/TrainedAdagrad.safetensors --input 4,3,10,10 --steps 25
               --optimizer Adagrad --optim-kwargs [=[{"lr":0.05,"initial_accumulator_value":0.1}]=])
convkit_record(references ${trained_net} ${recordings}/TrainedLast.safetensors --input 4,3,10,10 --steps 12
               --channels-last --seed 18446744073709551614)
convkit_record(references ${PROJECT_SOURCE_DIR}/apps/examples/tiny_net.py:TinyNet ${recordings}/tiny_net.safetensors
               --input 2,3,32,32 --train)
convkit_record(references ${scripts}/recorded.py:mobilenet_v3_small ${recordings}/training.safetensors
               --input 2,3,64,64 --steps 10 --optimizer AdamW --optim-kwargs [=[{"lr":0.01}]=])

# This test holds what record.py says of mistakes.
if(CONVKIT_TESTED STREQUAL "ALL")
  add_test(NAME record COMMAND ${python} ${scripts}/record_test.py)
  set_tests_properties(record PROPERTIES COST 25 ENVIRONMENT OMP_NUM_THREADS=1)
endif()

# This example compares a module of its own.
if(TARGET 030-compare)
  add_test(NAME compare.tiny_net COMMAND 030-compare ${recordings}/tiny_net.safetensors)
  set_tests_properties(compare.tiny_net PROPERTIES FIXTURES_REQUIRED references
                       ENVIRONMENT OMP_NUM_THREADS=1)
endif()

# The tool runs a recorded training again.
if(TARGET convkit_tool)
  add_test(NAME compare.training COMMAND convkit_tool compare mobilenet_v3_small ${recordings}/training.safetensors)
  set_tests_properties(compare.training PROPERTIES FIXTURES_REQUIRED references
                       PASS_REGULAR_EXPRESSION "training: 10 of 10 steps equal" ENVIRONMENT OMP_NUM_THREADS=1)
endif()
