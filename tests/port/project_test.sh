#!/usr/bin/env bash
# project_test.sh BUILD PREFIXES PYTHON: what convkit.port --project writes builds against an installed convkit, says by
# 0 that all is equal, by 1 that it is not, and by 2 that there is no recording.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$1 prefixes=$2 python=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $1"; exit 1; }
quietly() { "$@" > "$work/log" 2>&1 || { cat "$work/log"; fail "$*"; }; }

export PYTHONPATH="$here/../../apps/python"
quietly cmake --install "$build" --prefix "$work/convkit"
# prove FOLDER MODULE:CALLABLE --input...
prove() {
  local folder=$1
  quietly "$python" -m convkit.port "${@:2}" --project "$folder"
  quietly cmake -S "$folder" -B "$folder/build" -G Ninja -D CMAKE_BUILD_TYPE=Debug \
    -D CMAKE_PREFIX_PATH="$work/convkit;$prefixes"
  quietly cmake --build "$folder/build"
  quietly "$folder/build/check"
}
prove "$work/results" "$here/results.py:TwoInputs" --input 2,3,8,8 --input 2,5
grep -q '^end to end: 2 of 2 equal' "$work/log" || { cat "$work/log"; fail "two results"; }
prove "$work/port" "$here/small.py:Attention" --input 2,3,16,16
grep -q '^compile() for \[3, 3, 48, 48\]: the same' "$work/log" || { cat "$work/log"; fail "other sizes, and compile()"; }
"$python" - "$work/port/Attention.safetensors" "$work/other.safetensors" <<'PYTHON'
import sys
from safetensors import safe_open
from safetensors.torch import load_file, save_file
with safe_open(sys.argv[1], "pt") as file:
    metadata = file.metadata()
tensors = load_file(sys.argv[1])
tensors["output/#0"][0, 0, 0] += 1
save_file(tensors, sys.argv[2], metadata)
PYTHON
status=0
"$work/port/build/check" "$work/other.safetensors" > "$work/log" 2>&1 || status=$?
[ "$status" = 1 ] && grep -q '^end to end: .*different' "$work/log" || { cat "$work/log"; fail "another output: $status"; }
status=0
"$work/port/build/check" "$work/none.safetensors" > "$work/log" 2>&1 || status=$?
[ "$status" = 2 ] && [ "$(wc -l < "$work/log")" = 1 ] || { cat "$work/log"; fail "no recording: $status"; }
echo "the project of a page builds and compares"
