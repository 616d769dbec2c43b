#!/usr/bin/env bash
# wheel.sh BUILD TORCH: builds the wheel of the objects of BUILD, a built static convkit, installs it beside TORCH, the
# folder of a Python's torch, in an empty virtual environment, and does there what cmake/README.md says, also after
# the environment was moved. Holds what is in the wheel, what its binaries need, and what it refuses.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
build=$(cd "$1" && pwd)
torch=$(cd "$2" && pwd)
mkdir -p "$source/.deps"
work=$(mktemp -d "$source/.deps/wheel.XXXXXX")  # on the same disk as torch, which is linked and not copied
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $1"; exit 1; }
quietly() { "$@" > "$work/log" 2>&1 || { cat "$work/log"; fail "$*"; }; }
skip() { echo "SKIPPED: the wheel: $1"; exit 0; }

[ -f "$torch/version.py" ] || skip "its LibTorch has to be a Python's torch, which $torch is not"
backend=$source/.deps/scikit-build-core
if ! cmp -s "$here/requirements.txt" "$backend/requirements.txt"; then
  rm -rf "$backend"
  python3 -m pip install -q --disable-pip-version-check --no-cache-dir --target "$backend" \
    -r "$here/requirements.txt" > "$source/.deps/scikit-build-core.log" 2>&1 ||
    skip "scikit-build-core cannot be had, see .deps/scikit-build-core.log"
  cp "$here/requirements.txt" "$backend/"
fi
unset PYTHONPATH LD_LIBRARY_PATH CMAKE_PREFIX_PATH PIP_TARGET
site=$(dirname "$torch")

borrowed="convkit_layers;convkit_file;convkit_ops;convkit_models;convkit_uses;convkit_compile;convkit_image"
borrowed+=";convkit_image_files;convkit_data;convkit_train;convkit_onednn_room;cli_objects;convkit_tool"
PYTHONPATH=$backend:$site quietly python3 -m pip wheel --disable-pip-version-check --no-build-isolation --no-deps \
  -w "$work/wheel" "$source" -C "cmake.define.CONVKIT_BORROWED_FROM=$build" -C "cmake.define.CONVKIT_BORROWED=$borrowed"
wheel=$(echo "$work"/wheel/convkit-*.whl)

# What is in it: these files, the headers and the Python side, and no name twice.
version=$(sed -nE 's/^project\(convkit VERSION ([0-9.]+).*/\1/p' "$source/CMakeLists.txt")
info=convkit-$version.dist-info
{ (cd "$source/include" && find convkit -name '*.h') | sed 's|^|convkit/include/|'
  (cd "$source/apps/python" && find convkit -name '*.py')
  for file in _built.py bin/convkit lib/libconvkit.so."${version%.*}" lib/libdnnl.so.3 lib/libjpeg.so.62 \
      lib/libpng16.so.16 licenses/{CLI11,Gloo,fmt,libjpeg-turbo,libpng,nlohmann-json,oneDNN,oneDNN-third-party} \
      lib/cmake/convkit/convkit{Config,ConfigVersion,-shared,-shared-targets,-shared-targets-release,-torch}.cmake; do
    echo "convkit/$file"
  done
  for file in METADATA RECORD WHEEL entry_points.txt licenses/LICENSE; do echo "$info/$file"; done
} | sort > "$work/expected"
python3 - "$wheel" > "$work/files" <<'PYTHON'
import sys
import zipfile
print(*sorted(zipfile.ZipFile(sys.argv[1]).namelist()), sep="\n")
PYTHON
diff "$work/expected" "$work/files" || fail "the wheel has other files, above"
megabytes=$(($(stat -c %s "$wheel") / 1000000))
[ "$megabytes" -le 16 ] || fail "the wheel has $megabytes MB"
python3 -m zipfile -e "$wheel" "$work/unpacked"
minor=$(sed -nE "s/^__version__ = '([0-9]+\.[0-9]+).*/\1/p" "$torch/version.py")
requires=$(sed -n 's/^Requires-Dist: //p' "$work/unpacked/$info/METADATA" | paste -sd ' ')
[ "$requires" = "torch==$minor.* safetensors numpy" ] || fail "the wheel requires $requires"
echo "wheel: $(basename "$wheel"), $(wc -l < "$work/files") files, $megabytes MB, requires $requires"

# What its binaries need of the system, and where they look for the rest.
from_us='libconvkit\.so\.[0-9.]+|libdnnl\.so\.3|libjpeg\.so\.62|libpng16\.so\.16|libtorch_cpu\.so|libc10\.so|libgomp\.so\.1'
of_systems='lib(stdc\+\+\.so\.6|gcc_s\.so\.1|c\.so\.6|m\.so\.6|pthread\.so\.0|dl\.so\.2|z\.so\.1)|ld-linux-x86-64\.so\.2'
glibc=0 glibcxx=0
for file in "$work"/unpacked/convkit/bin/convkit "$work"/unpacked/convkit/lib/*.so*; do
  name=$(basename "$file")
  needed=$(objdump -p "$file" | awk '$1 == "NEEDED" { print $2 }')
  ! grep -vxE "$from_us|$of_systems" <<< "$needed" || fail "$name needs the above"
  paths=$(objdump -p "$file" | awk '$1 ~ /^(RUNPATH|RPATH)$/ { print $2 }' | tr ':' '\n')
  ! grep -vxE '|\$ORIGIN(/\.\./lib|/\.\./\.\./torch/lib)?' <<< "$paths" || fail "$name looks in the above"
  ! objdump -h "$file" | grep ' \.debug_' > /dev/null || fail "$name has debug information"
  objdump -t "$file" 2> /dev/null | grep '^no symbols' > /dev/null || fail "$name is not stripped"
  newest() { objdump -T "$file" | sed -nE "s/.*\($1([0-9]+).*/\1/p" | sort -n | tail -1; }
  of_file=$(newest 'GLIBC_2\.')
  if [ "${of_file:-0}" -gt "$glibc" ]; then glibc=$of_file; fi
  of_file=$(newest 'GLIBCXX_3\.4\.')
  if [ "${of_file:-0}" -gt "$glibcxx" ]; then glibcxx=$of_file; fi
done
tag=$(sed -nE 's/.*-manylinux_2_([0-9]+)_x86_64\.whl/\1/p' <<< "$wheel")
[ "${tag:-0}" -ge "$glibc" ] || fail "the tag is manylinux_2_$tag, but the binaries need glibc 2.$glibc"
grep -qx "Tag: py3-none-manylinux_2_${tag}_x86_64" "$work/unpacked/$info/WHEEL" || fail "the tag inside is another"
says="glibc 2.$glibc and the libstdc++ of GLIBCXX_3.4.$glibcxx"
if grep -qx 'VERSION_ID="12"' /etc/os-release; then  # others have another glibc
  tr -s ' \n' ' ' < "$source/cmake/README.md" | grep -F "$says" > /dev/null || fail "cmake/README.md does not say: $says"
  grep -qF "manylinux_2_$tag" "$source/cmake/README.md" || fail "cmake/README.md does not name manylinux_2_$tag"
fi
echo "wheel: needs $says, hence manylinux_2_$tag"

# An environment with torch and what torch needs, and nothing else but safetensors and numpy.
python3 -m venv --without-pip "$work/first"
packages=$(cd "$work/first" && echo lib/python3*/site-packages)
link() { cp -al "$1" "$2" 2> /dev/null || cp -a "$1" "$2"; }
for name in torch torchgen functorch sympy mpmath networkx jinja2 markupsafe fsspec filelock typing_extensions.py; do
  [ ! -e "$site/$name" ] || link "$site/$name" "$work/first/$packages/$name"
done
for name in safetensors numpy numpy.libs; do
  found=$(echo "$source"/.deps/parity/lib/python3*/site-packages/$name)
  [ ! -e "$found" ] || link "$found" "$work/first/$packages/$name"
done
quietly python3 -m pip --python "$work/first/bin/python" install --disable-pip-version-check --no-index --no-deps "$wheel"

use() {  # environment, how the tool is called
  local python=$1/bin/python tool=("${@:2}")
  [ "$("$python" -c 'import sys, convkit; print(convkit.__version__, "torch" in sys.modules)')" = "$version False" ] ||
    fail "import convkit: another version, or it imports torch"
  rm -rf "$work/used" && mkdir "$work/used"
  (cd "$work/used"
   quietly "${tool[@]}" draw conv --input 7 --kernel 3 -o conv.svg && grep -q '<svg' conv.svg
   printf 'import torch\n\n\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n' > net.py
   printf '        self.conv = torch.nn.Conv2d(3, 4, 3)\n\n    def forward(self, x):\n        return self.conv(x)\n' >> net.py
   quietly "$python" -m convkit.port net.py:Net --input 1,3,8,8 -o net.h
   grep -q '#include <convkit/module.h>' net.h || fail "no page of C++"
   if [ -e "$1/$packages/safetensors" ]; then
     quietly "$python" -m convkit.record net.py:Net --input 1,3,8,8 -o net.safetensors
     "${tool[@]}" inspect net.safetensors > inspected
     grep -q 'state_dict/conv.weight .*4, 3, 3, 3' inspected || { cat inspected; fail "convkit inspect"; }
   else
     echo "SKIPPED: record, since there is no safetensors"
   fi)
  # Everything comes out of the environment or the system, and of nowhere else.
  local libraries
  libraries=$(ldd "$1/$packages/convkit/bin/convkit" "$1/$packages"/convkit/lib/libconvkit.so.*)
  ! grep 'not found' <<< "$libraries" || fail "the binaries do not find the above"
  ! grep '=> /' <<< "$libraries" | grep -vE "=> ($(realpath "$1")/|/lib|/usr/lib)" || fail "the binaries find the above"
}
use "$work/first" "$work/first/bin/convkit"
echo "wheel: installed: convkit, convkit.record and convkit.port run, import convkit is cheap"

# CMake by the one folder that the package names.
configure() {  # name, environment, more arguments
  cmake -S "$here/find_package" -B "$work/$1" -G Ninja -D CMAKE_BUILD_TYPE=Release \
    -D CMAKE_PREFIX_PATH="$("$2/bin/python" -c 'import convkit; print(convkit.cmake_prefix_path)')" "${@:3}" > "$work/log" 2>&1
}
refused() {  # what it says, name, environment, more arguments
  ! configure "${@:2}" || fail "accepted: $2"
  tr -s ' \n' ' ' < "$work/log" | grep -E "$1" > /dev/null || { cat "$work/log"; fail "no word of: $1"; }
}
configure plain "$work/first" || { cat "$work/log"; fail "find_package(convkit)"; }
echo 'find_package(Torch REQUIRED)' > "$work/torch_first.cmake"
configure torch_first "$work/first" -D CMAKE_PROJECT_consumer_INCLUDE="$work/torch_first.cmake" -D Torch_DIR="$torch/share/cmake/Torch" ||
  { cat "$work/log"; fail "find_package(convkit) after find_package(Torch)"; }
grep -q "$torch/lib/libtorch" "$work/torch_first/build.ninja" || fail "the project's own LibTorch is not taken"
echo 'find_package(convkit REQUIRED COMPONENTS static)' > "$work/static.cmake"
refused 'no component static' static "$work/first" -D CMAKE_PROJECT_consumer_INCLUDE="$work/static.cmake"

# Moved, beside a torch for CUDA on a machine that has no CUDA toolkit: LibTorch's own config stops there.
mv "$work/first" "$work/moved"
moved=$work/moved/$packages
rm "$moved/torch/share/cmake/Torch/TorchConfig.cmake"
echo 'message(FATAL_ERROR "no CUDA toolkit")' > "$moved/torch/share/cmake/Torch/TorchConfig.cmake"
for name in torch_cuda c10_cuda; do
  echo "int ${name}_is_here() { return 1; }" | gcc -x c - -shared -fPIC -Wl,-soname,lib$name.so -o "$moved/torch/lib/lib$name.so"
done
use "$work/moved" "$work/moved/bin/python" -m convkit
configure consumer "$work/moved" || { cat "$work/log"; fail "find_package(convkit) beside a torch for CUDA"; }
quietly cmake --build "$work/consumer"
[ "$("$work/consumer/consumer")" = "ConvBlock: expected stride >= 1, got 0" ] || fail "the consumer"
objdump -p "$work/consumer/consumer" | grep 'NEEDED *libtorch_cuda.so' > /dev/null || fail "the kernels for CUDA are not linked"
echo "wheel: moved: the same; find_package(convkit) links and runs beside a torch for CUDA, without its toolkit"

# A torch that is elsewhere in Python's path is found by the command, and another minor version is refused.
says() {  # what it says in its only line, and exits with 2
  local status=0
  "$work/moved/bin/python" -m convkit models > "$work/log" 2>&1 || status=$?
  [ "$status" = 2 ] && [ "$(wc -l < "$work/log")" = 1 ] && grep -qE "$1" "$work/log" ||
    { cat "$work/log"; fail "exit $status, and no word of: $1"; }
}
mkdir "$work/elsewhere"
mv "$moved/torch" "$work/elsewhere/"
PYTHONPATH=$work/elsewhere quietly "$work/moved/bin/python" -m convkit models
says "convkit: it was built with torch $minor, and this Python has none"
refused "looks for torch $minor beside itself, but there is no .*/torch" none "$work/moved"
mv "$work/elsewhere/torch" "$moved/"
sed "s/^__version__ = .*/__version__ = '2.99.1'/" "$torch/version.py" > "$work/version.py"
rm "$moved/torch/version.py" && mv "$work/version.py" "$moved/torch/"
says "convkit: it was built with torch $minor, but this Python's is 2.99.1; pip install 'torch==$minor\.\*'"
refused "built with LibTorch $minor[0-9.]*, but this project.s is 2\.99\.1" other "$work/moved"
echo "wheel: no torch, and another minor version of torch: refused, in one sentence"
