#!/usr/bin/env bash
# run.sh SECONDS FOLDER: builds the fuzz targets with clang 16 and runs them for so long on all formats, side by
# side, beginning with the files that tests/parity makes: those of FOLDER's checkpoints, torch_files and image_files.
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

fuzz() {  # target, name, folder, files
  local target=$1
  shift
  mkdir -p "build-fuzz/$1/corpus" "build-fuzz/$1/seeds"
  find "$2" -type f -name "$3" -size -16k -exec cp -t "build-fuzz/$1/seeds" {} +
  # A file of 16 KiB may not ask for 64 MiB.
  OMP_NUM_THREADS=1 build-fuzz/tests/fuzz/$target "build-fuzz/$1/corpus" "build-fuzz/$1/seeds" \
    -max_total_time="$seconds" -max_len=16384 -malloc_limit_mb=64 -rss_limit_mb=4096 -timeout=5 \
    -artifact_prefix="build-fuzz/$1/" -print_final_stats=1 > "build-fuzz/$1.log" 2>&1 ||
    { tail -60 "build-fuzz/$1.log"; return 1; }
  echo "$1: $(grep '^Done' "build-fuzz/$1.log")"
}
fuzz fuzz_checkpoint safetensors "$files/checkpoints" '*.safetensors' &
fuzz fuzz_checkpoint zip_and_pickle "$files/torch_files" '[!l]*.pt' &
fuzz fuzz_checkpoint legacy "$files/torch_files" '*legacy*.pt' &
fuzz fuzz_image jpeg "$files/image_files/files" 'jpeg_*' &
fuzz fuzz_image png "$files/image_files/files" 'png_*' &
fuzz fuzz_image ppm "$files/image_files/files" 'ppm_*' &
status=0
for job in $(jobs -p); do wait "$job" || status=1; done
exit "$status"
