#!/usr/bin/env bash
# run.sh SECONDS CORPUS: builds the fuzz targets with clang 16 and runs each for so long, beginning with
# the files of the folder CORPUS (as tests/parity/checkpoints.py makes them).
set -euo pipefail
seconds=$1
corpus=$(cd "$2" && pwd)
cd "$(dirname "$0")/../.."
if ! command -v clang++-16 > /dev/null; then
  echo "SKIPPED: the fuzz targets need clang++-16 (Debian: clang-16, libclang-rt-16-dev)"
  exit 0
fi
cmake --workflow --preset fuzz > build-fuzz.log 2>&1 || { cat build-fuzz.log; exit 1; }
mv build-fuzz.log build-fuzz/build.log
mkdir -p build-fuzz/corpus build-fuzz/seeds
find "$corpus" -type f -size -16k -exec cp -t build-fuzz/seeds {} +
# A file of 16 KiB may not ask for 64 MiB.
OMP_NUM_THREADS=1 build-fuzz/tests/fuzz/fuzz_checkpoint build-fuzz/corpus build-fuzz/seeds \
  -max_total_time="$seconds" -max_len=16384 -malloc_limit_mb=64 -rss_limit_mb=4096 -timeout=5 \
  -artifact_prefix=build-fuzz/ -print_final_stats=1 > build-fuzz/run.log 2>&1 ||
  { tail -60 build-fuzz/run.log; exit 1; }
grep -E "^(Done|stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb))" build-fuzz/run.log
