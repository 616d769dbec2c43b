#!/usr/bin/env bash
# The set-up under hard conditions, in a fresh clone of what is committed: a path with spaces, a fetch
# killed in the middle, two configures at once, another fmt in the prefix, a HOME that must stay
# empty, no network, no oneDNN of use; at last the README's demo. About two minutes.
set -euo pipefail
source=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
fail() { echo "FAILED: $1"; exit 1; }

clone="$work/a path with spaces/convkit"
git clone -q "$source" "$clone"
cd "$clone"
mkdir "$work/home" && chmod 555 "$work/home"
export HOME="$work/home"

# Without network: one message, which says what to do. Not where a torch is installed already.
if ! python3 -c 'import torch' 2> /dev/null; then
  PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_FIND_LINKS='' cmake --preset demo \
    > "$work/offline.log" 2>&1 && fail "a LibTorch out of nowhere"
  [ "$(grep -c 'CMake Error' "$work/offline.log")" = 1 ] || { cat "$work/offline.log"; fail "not one message"; }
  grep -q 'convkit needs Torch and cannot get it' "$work/offline.log" || fail "no word of Torch"
  grep -q 'What to do: install PyTorch' "$work/offline.log" || fail "no word of what to do"
  echo "no network: one message"
fi

# Killed while pip installs LibTorch.
setsid cmake --preset demo > "$work/killed.log" 2>&1 &
sleep 8
kill -9 -- -$! 2> /dev/null || true
wait 2> /dev/null || true

# Another fmt, where the machine has a Debian mirror to take it from.
mkdir "$work/fmt"
library=$(apt-cache depends libfmt-dev 2> /dev/null | awk '/Depends: libfmt/ { print $2 }' || true)
if (cd "$work/fmt" && apt-get download -q libfmt-dev "$library" > /dev/null 2>&1); then
  for package in "$work"/fmt/*.deb; do dpkg-deb -x "$package" "$work/fmt"; done
  export CMAKE_PREFIX_PATH="$work/fmt/usr"
  echo "with $(basename "$work"/fmt/libfmt-dev_*.deb) in the prefix"
else
  echo "SKIPPED: libfmt-dev cannot be had"
fi

cmake --preset demo > "$work/first.log" 2>&1 &
first=$!
cmake --preset demo -B "$work/second build" > "$work/second.log" 2>&1 || { cat "$work/second.log"; fail "the second configure"; }
wait "$first" || { cat "$work/first.log"; fail "the first configure"; }
[ "$(cat "$work/first.log" "$work/second.log" | grep -c 'pip install torch')" -le 1 ] ||
  fail "LibTorch was fetched twice"
echo "killed, then two configures at once: both succeed, LibTorch is fetched once"

start=$(date +%s%N)
cmake --preset demo > "$work/again.log"
milliseconds=$((($(date +%s%N) - start) / 1000000))
! grep -E 'pip install|unpacks' "$work/again.log" || fail "a second configure fetches"
[ "$milliseconds" -lt 2000 ] || fail "a second configure takes $milliseconds ms"
echo "a second configure: $milliseconds ms, nothing fetched"
needless=$(ls .deps | grep -xE 'Catch2|Doxygen|JPEG|PNG|benchmark|dnnl|nlohmann_json|parity' || true)
[ -z "$needless" ] || fail "fetched for the demo: $needless"

# oneDNN is optional: version 2 and another threading runtime are refused, and so is a machine without
# one, but only if CONVKIT_ONEDNN is ON.
mkdir "$work/dnnl2" "$work/dnnl-tbb"
echo 'set(PACKAGE_VERSION 2.6.3)' > "$work/dnnl2/dnnl-config-version.cmake"
echo 'message(FATAL_ERROR "oneDNN 2 was read")' > "$work/dnnl2/dnnl-config.cmake"
printf 'set(PACKAGE_VERSION 3.5.0)\nset(PACKAGE_VERSION_COMPATIBLE TRUE)\n' \
  > "$work/dnnl-tbb/dnnl-config-version.cmake"
echo 'set(DNNL_CPU_THREADING_RUNTIME TBB)' > "$work/dnnl-tbb/dnnl-config.cmake"
configure() { cmake --preset default -B "$work/onednn" -D BUILD_TESTING=OFF -D CONVKIT_BUILD_APPS=OFF "$@" > "$work/onednn.log" 2>&1; }
without_onednn() {  # what it says, the arguments
  PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_FIND_LINKS='' configure "${@:2}" ||
    { cat "$work/onednn.log"; fail "oneDNN is not optional"; }
  grep -q "goes without oneDNN: $1" "$work/onednn.log" || { cat "$work/onednn.log"; fail "no word of oneDNN"; }
}
without_onednn 'oneDNN 3.2 or newer was not found' -D dnnl_DIR="$work/dnnl2"
without_onednn 'oneDNN in .* has the threads of TBB, not of OpenMP' -D dnnl_DIR="$work/dnnl-tbb"
if configure -D dnnl_DIR="$work/dnnl-tbb" -D CONVKIT_ONEDNN=ON; then fail "CONVKIT_ONEDNN=ON accepts the threads of TBB"; fi
[ "$(grep -c 'CMake Error' "$work/onednn.log")" = 1 ] || { cat "$work/onednn.log"; fail "not one message"; }
echo "oneDNN: optional; version 2 and the threads of TBB are refused"

start=$SECONDS
cmake --workflow --preset demo > "$work/demo.log" 2>&1 || { cat "$work/demo.log"; fail "the demo"; }
for question in 1 2 3 4 5 6 7 8; do
  grep -q "^$question\. " "$work/demo.log" || fail "the demo does not answer question $question"
done
seconds=$((SECONDS - start))
build/apps/qa/q3_kinds | cmp - apps/qa/expected/q3_kinds.txt || fail "the app"
# pip asks rustc for its version, and rustup's writes a folder of its own.
written=$(ls -A "$HOME" | grep -vx '.rustup' || true)
[ -z "$written" ] || fail "HOME was written to: $written"
[ -z "$(git status --porcelain)" ] || fail "the clone is not clean"
echo "eight questions answered in '$clone', built in $seconds s, HOME left empty"
