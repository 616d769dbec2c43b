#!/usr/bin/env bash
# run.sh BUILD TORCH JSON: BUILD is a built static convkit, TORCH LibTorch's prefix, JSON the CMake
# folder of nlohmann-json. Installs it, moves what is installed, builds the consumers of this folder against the static
# and a shared library, and as a part of their project, and compares what the shared library exports with exported.txt.
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

quietly install.log cmake --install "$build" --prefix "$work/installed"
mv "$work/installed" "$work/static"
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

# Both kinds in one prefix, which is another than the one it was installed to.
mv "$work/shared" "$work/both"
cp -a "$work/static/." "$work/both"
consume "shared library" find_package "$work/both;$torch" -D BUILD_SHARED_LIBS=ON
grep -q 'both/lib.*/libconvkit\.so' "$work/shared library/build.ninja" || fail "BUILD_SHARED_LIBS does not choose the library"

# A component chooses too; what is none, and two of them, are refused.
components() {  # prefix, components
  echo "find_package(convkit REQUIRED COMPONENTS $2)" > "$work/components.cmake"
  rm -rf "$work/components"
  cmake -S "$here/find_package" -B "$work/components" -G Ninja -D CMAKE_PREFIX_PATH="$1;$torch" \
    -D CMAKE_PROJECT_consumer_INCLUDE="$work/components.cmake" > "$work/components.log" 2>&1
}
for chosen in static:a shared:so; do
  components "$work/both" "${chosen%:*}" || { cat "$work/components.log"; fail "the component ${chosen%:*}"; }
  grep -q "/libconvkit\.${chosen#*:}" "$work/components/build.ninja" || fail "the component ${chosen%:*} chooses the other library"
done
refused() {  # prefix, components, what it says
  ! components "$1" "$2" || fail "accepted: COMPONENTS $2"
  tr -s ' \n' ' ' < "$work/components.log" | grep -E "$3" > /dev/null || { cat "$work/components.log"; fail "no word of: $3"; }
}
refused "$work/both" tool "there is no component tool: .*/both has static and shared"
refused "$work/static" shared "there is no component shared: .*/static has static"
refused "$work/both" "static shared" "a project can have one kind of library, and not static and shared"
echo "both kinds in one prefix: chosen by BUILD_SHARED_LIBS and by component; other components are refused"

# Nothing but convkit's own names is exported, and LibTorch is found without the program's help.
library=$(find "$work/both" -name libconvkit.so)
nm -DC --defined-only "$library" | cut -c20- > "$work/exported"
grep -q '^convkit::ConvBlockImpl::forward' "$work/exported" || fail "ConvBlock is not exported"
! grep -vE '^([a-zA-Z -]+ (for|to) )?convkit::' "$work/exported" || fail "foreign names are exported"
! ldd "$library" | grep 'not found' || fail "the shared library does not find LibTorch or oneDNN"
"$here/exported.sh" "$library" > "$work/exported.txt"
diff "$here/exported.txt" "$work/exported.txt" ||
  fail "the library exports other names, above: > is new, < is gone, which no patch version may do to a program
(cmake/README.md). What to do: tests/consumer/exported.sh LIBRARY > tests/consumer/exported.txt"
echo "shared library: exports $(wc -l < "$work/exported") names, all of convkit; those of exported.txt"

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

# By FetchContent of what is committed here.
if commit=$(git -C "$here" rev-parse HEAD 2> /dev/null); then
  # shellcheck disable=SC2086
  consume "fetched content" fetch_content "$torch" -D nlohmann_json_DIR="$json" -D dnnl_DIR="$dnnl" $fetched \
    -D CONVKIT_REPOSITORY="$(git -C "$here" rev-parse --show-toplevel)" -D CONVKIT_TAG="$commit" \
    -D CONSUMER_OBJECT="$work/static library/CMakeFiles/consumer.dir/main.cpp.o" \
    -D CONVKIT_BORROWED_FROM="$build" \
    -D CONVKIT_BORROWED="convkit_layers;convkit_ops;convkit_models;convkit_uses;convkit_compile;convkit_image;convkit_image_files;convkit_data;convkit_train;convkit_onednn_room;convkit_file"
else
  echo "SKIPPED: FetchContent, since this is no clone"
fi
