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
quietly "$python" -m convkit.port "$here/small.py:Attention" --input 2,3,16,16 --project "$work/port"
quietly cmake --install "$build" --prefix "$work/convkit"
quietly cmake -S "$work/port" -B "$work/port/build" -G Ninja -D CMAKE_BUILD_TYPE=Debug \
  -D CMAKE_PREFIX_PATH="$work/convkit;$prefixes"
quietly cmake --build "$work/port/build"
quietly "$work/port/build/check"
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
