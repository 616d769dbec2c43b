#!/usr/bin/env bash
# run.sh SECONDS FOLDER: builds the fuzz target with clang 16 and runs it for so long on all three formats,
# side by side, beginning with the files that tests/parity makes: FOLDER/checkpoints and FOLDER/torch_files.
set -euo pipefail
seconds=$1
files=$(cd "$2" && pwd)
cd "$(dirname "$0")/../.."
if ! command -v clang++-16 > /dev/null; then
  echo "SKIPPED: the fuzz target needs clang++-16 (Debian: clang-16, libclang-rt-16-dev)"
  exit 0
fi
mkdir -p build-fuzz
cmake --workflow --preset fuzz > build-fuzz/build.log 2>&1 || { cat build-fuzz/build.log; exit 1; }

fuzz() {  # name, folder, files
  mkdir -p "build-fuzz/$1/corpus" "build-fuzz/$1/seeds"
  find "$2" -type f -name "$3" -size -16k -exec cp -t "build-fuzz/$1/seeds" {} +
  # A file of 16 KiB may not ask for 64 MiB.
  OMP_NUM_THREADS=1 build-fuzz/tests/fuzz/fuzz_checkpoint "build-fuzz/$1/corpus" "build-fuzz/$1/seeds" \
    -max_total_time="$seconds" -max_len=16384 -malloc_limit_mb=64 -rss_limit_mb=4096 -timeout=5 \
    -artifact_prefix="build-fuzz/$1/" -print_final_stats=1 > "build-fuzz/$1.log" 2>&1 ||
    { tail -60 "build-fuzz/$1.log"; return 1; }
  echo "$1: $(grep '^Done' "build-fuzz/$1.log")"
}
fuzz safetensors "$files/checkpoints" '*.safetensors' &
fuzz zip_and_pickle "$files/torch_files" '[!l]*.pt' &
fuzz legacy "$files/torch_files" '*legacy*.pt' &
status=0
for job in $(jobs -p); do wait "$job" || status=1; done
exit "$status"
