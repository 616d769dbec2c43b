# Warnings of our own code, in the one build. .ci/run fails on any.
add_library(convkit_warnings INTERFACE)
target_compile_options(convkit_warnings INTERFACE -Wall -Wextra -Wpedantic)
