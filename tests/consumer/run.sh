#!/usr/bin/env bash
# run.sh BUILD TORCH JSON: BUILD is a built static convkit, TORCH LibTorch's prefix, JSON the CMake
# folder of nlohmann-json. Installs it, builds the consumers of this folder against the static and a shared
# library, and as a part of their project.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
torch=$2
json=$3  # to build the library, not to use it
dnnl=$(sed -n 's/^dnnl_DIR:[A-Z]*=//p' "$build/CMakeCache.txt")  # the same
# What else was fetched for BUILD; what is installed is found without.
fetched=$(sed -nE 's/^(Gloo_INCLUDE_DIR|JPEG_ROOT|PNG_ROOT|ZLIB_ROOT):[A-Z]*=(.+)/-D \1=\2/p' "$build/CMakeCache.txt" | tr '\n' ' ')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $1"; exit 1; }

quietly() {  # log, command
  "${@:2}" > "$work/$1" 2>&1 || { cat "$work/$1"; fail "${*:2}"; }
}

consume() {  # name, project, prefixes, more arguments
  quietly "$1.log" cmake -S "$here/$2" -B "$work/$1" -G Ninja -D CMAKE_BUILD_TYPE=Release \
    -D CMAKE_PREFIX_PATH="$3" "${@:4}"
  quietly "$1.log" cmake --build "$work/$1"
  [ "$("$work/$1/consumer")" = "ConvBlock: expected stride >= 1, got 0" ] || fail "$1 fails"
  echo "$1: links, runs, catches the library's error"
}

quietly install.log cmake --install "$build" --prefix "$work/static"
consume "static library" find_package "$work/static;$torch" &
static=$!

# The shared library is built and installed by README.md's own commands, in a folder that has convkit. Most of
# its objects are those of BUILD, which are compiled in the same way for either kind of library.
ln -s "$(cd "$here/../.." && pwd)" "$work/convkit"
sed -n '/^cmake -S convkit -B/,/^cmake --install/p' "$here/../../README.md" > "$work/commands"
[ "$(grep -c '^cmake ' "$work/commands")" = 3 ] || fail "README.md does not say how to build and install"
sed -i "s|^cmake -S convkit|& $fetched -D CONVKIT_BORROWED_FROM='$build' -D 'CONVKIT_BORROWED=convkit_layers;convkit_ops;convkit_models;convkit_uses;convkit_compile;convkit_image;convkit_image_files;convkit_data;convkit_train'|" \
  "$work/commands"
(cd "$work" && export LIBTORCH=$torch PREFIX=$work/shared CMAKE_GENERATOR=Ninja \
   nlohmann_json_ROOT=$json dnnl_ROOT=$dnnl && quietly shared.log bash -euo pipefail commands)
wait "$static" || fail "the static library"
consume "shared library" find_package "$work/shared;$torch"

# Nothing but convkit's own names is exported, and LibTorch is found without the program's help.
library=$(find "$work/shared" -name libconvkit.so)
nm -DC --defined-only "$library" | cut -c20- > "$work/exported"
grep -q '^convkit::ConvBlockImpl::forward' "$work/exported" || fail "ConvBlock is not exported"
! grep -vE '^([a-zA-Z -]+ (for|to) )?convkit::' "$work/exported" || fail "foreign names are exported"
! ldd "$library" | grep 'not found' || fail "the shared library does not find LibTorch or oneDNN"
echo "shared library: exports $(wc -l < "$work/exported") names, all of convkit"

# A project with another LibTorch is told so.
mkdir -p "$work/other"
echo 'set(TORCH_INSTALL_PREFIX "")' > "$work/other/TorchConfig.cmake"
printf 'set(PACKAGE_VERSION 2.99.1)\nset(PACKAGE_VERSION_COMPATIBLE TRUE)\n' \
  > "$work/other/TorchConfigVersion.cmake"
if cmake -S "$here/find_package" -B "$work/refused" -G Ninja -D Torch_DIR="$work/other" \
  -D CMAKE_PREFIX_PATH="$work/static" > "$work/refused.log" 2>&1; then
  fail "another LibTorch is accepted"
fi
tr -s ' \n' ' ' < "$work/refused.log" > "$work/message"
grep -qE 'built with LibTorch [0-9.]+, but this project.s is 2\.99\.1' "$work/message" ||
  { cat "$work/refused.log"; fail "no word of the versions"; }
echo "another LibTorch: refused, with both versions"

# shellcheck disable=SC2086
consume "part of a project" add_subdirectory "$torch" -D nlohmann_json_DIR="$json" -D dnnl_DIR="$dnnl" $fetched \
  -D CONVKIT_BORROWED_FROM="$build" \
  -D CONVKIT_BORROWED="convkit_layers;convkit_ops;convkit_models;convkit_uses;convkit_compile;convkit_image;convkit_image_files;convkit_data;convkit_train;convkit_onednn_room"
