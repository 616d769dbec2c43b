# Dependency provider: answers CMakeLists.txt's plain find_package() calls with what the machine
# has, and otherwise fetches it once, without root, into .deps/. Only the presets load it; without
# them find_package() searches as usual.
#
#   Torch          a prefix you give, the active Python's torch, the CPU wheel
#   fmt            installed, or LibTorch's own copy of its headers
#   nlohmann_json, CLI11, Stb, benchmark
#                  installed, or unpacked from the machine's Debian mirror
#   JPEG, PNG      the same; without them where they cannot be had
#   Catch2         the same, or built from its source
#   dnnl           oneDNN, installed, or two wheels of PyPI; without it where it cannot be had
#   Doxygen        installed, or unpacked from Debian's mirror; without it too
#   Gloo           its headers, installed, or unpacked from Debian's mirror; without them too
#   ParityPython   a Python that imports the LibTorch in use and the packages of tests/parity

cmake_path(SET CONVKIT_DEPS NORMALIZE "${CMAKE_CURRENT_LIST_DIR}/../.deps")
cmake_path(SET CONVKIT_REQUIREMENTS NORMALIZE
           "${CMAKE_CURRENT_LIST_DIR}/../tests/parity/requirements.txt")
set(CONVKIT_TORCH torch==2.13.0+cpu)  # never a CUDA wheel unasked: it has several gigabytes
set(CONVKIT_TORCH_INDEX https://download.pytorch.org/whl/cpu)
# The last of PyPI's for GNU OpenMP, LibTorch's own; oneDNN 3.2.
set(CONVKIT_DNNL onednn-devel-cpu-gomp==2023.2.0 onednn-cpu-gomp==2023.2.0)
set(CONVKIT_CATCH2_SOURCE https://github.com/catchorg/Catch2.git)
set(CONVKIT_CATCH2_COMMIT fa43b77429ba76c462b1898d6cd2f2d7a9416b14)  # v3.7.1

# A macro, since what find_package() sets has to reach the caller's scope.
macro(convkit_provide method package)
  if("${package}" MATCHES
     "^(Torch|fmt|nlohmann_json|CLI11|Stb|Catch2|benchmark|dnnl|Doxygen|Gloo|JPEG|PNG|ParityPython)$")
    set(convkit_${package}_arguments ${ARGN})
    list(REMOVE_ITEM convkit_${package}_arguments REQUIRED)
    if(COMMAND convkit_before_${package})
      cmake_language(CALL convkit_before_${package})
    endif()
    convkit_find(${package})
    if(NOT ${package}_FOUND)
      set(${package}_FOUND TRUE)  # so that an error in the fetch is the only one that CMake prints
      cmake_language(CALL convkit_fetch_${package})
      convkit_find(${package})
      if(NOT ${package}_FOUND AND NOT "${package}" MATCHES "^(dnnl|Doxygen|Gloo|JPEG|PNG)$")
        convkit_give_up(${package} "what was fetched cannot be used")
      endif()
    endif()
  endif()
endmacro()
cmake_language(SET_DEPENDENCY_PROVIDER convkit_provide SUPPORTED_METHODS FIND_PACKAGE)

macro(convkit_find package)
  # LibTorch's config warns about libraries that nothing here needs.
  set(convkit_log_level "${CMAKE_MESSAGE_LOG_LEVEL}")
  set(CMAKE_MESSAGE_LOG_LEVEL ERROR)
  if("${package}" MATCHES "^(Doxygen|JPEG|PNG)$")  # CMake's own modules find them
    find_package(${package} ${convkit_${package}_arguments} QUIET MODULE BYPASS_PROVIDER)
  else()
    find_package(${package} ${convkit_${package}_arguments} QUIET CONFIG BYPASS_PROVIDER)
  endif()
  set(CMAKE_MESSAGE_LOG_LEVEL "${convkit_log_level}")
endmacro()

# The one message of a dependency that cannot be had.
function(convkit_give_up package tried)
  set(install_Torch "install PyTorch, or pass -D CMAKE_PREFIX_PATH=<a LibTorch 2.11 or newer>")
  set(install_fmt "install fmt (Debian: libfmt-dev), or pass -D fmt_DIR=<its CMake folder>")
  set(install_CLI11 "install CLI11 (Debian: libcli11-dev), or pass -D CLI11_DIR=<its CMake folder>")
  set(install_nlohmann_json "install nlohmann-json 3.11 (Debian: nlohmann-json3-dev), or pass -D \
nlohmann_json_DIR=<its CMake folder>")
  set(install_benchmark "install Google Benchmark (Debian: libbenchmark-dev), or pass -D \
benchmark_DIR=<its CMake folder>")
  set(install_Stb "install stb (Debian: libstb-dev), or pass -D Stb_INCLUDE_DIR=<its folder>")
  set(install_ParityPython "configure again with a network, or without tests: -D BUILD_TESTING=OFF")
  set(install_Catch2 "install Catch2 3, or pass -D Catch2_DIR=<its CMake folder>")
  set(log "")
  if(EXISTS "${CONVKIT_DEPS}/${package}.log")
    set(log "\nLog: ${CONVKIT_DEPS}/${package}.log")
  endif()
  message(FATAL_ERROR "convkit needs ${package} and cannot get it.\nTried: installed on this machine; "
                      "${tried}.${log}\nWhat to do: ${install_${package}}.")
endfunction()

# Runs a command, its output into the package's log; `result` is 0 for success.
function(convkit_run package result)
  list(JOIN ARGN " " command)
  file(APPEND "${CONVKIT_DEPS}/${package}.log" "\n$ ${command}\n")
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  file(APPEND "${CONVKIT_DEPS}/${package}.log" "${output}\n")
  set(${result} "${code}" PARENT_SCOPE)
endfunction()

# ---------------------------------------------------------------------------------- Python, Torch

# `pip install ARGN` into a new virtual environment .deps/<folder>, which the file `stamp` in it
# marks as whole: one that an interrupted or failed run left behind is begun anew. It also sees the
# packages of the folder convkit_site_packages, where that is set.
function(convkit_pip package folder stamp result)
  set(environment "${CONVKIT_DEPS}/${folder}")
  set(${result} 0 PARENT_SCOPE)
  file(LOCK "${CONVKIT_DEPS}/lock" GUARD FUNCTION TIMEOUT 3600)
  if(EXISTS "${environment}/${stamp}")
    return()
  endif()

  list(JOIN ARGN " " packages)
  message(STATUS "convkit: pip install ${packages}, into .deps/${folder}")
  file(WRITE "${CONVKIT_DEPS}/${package}.log" "")
  file(REMOVE_RECURSE "${environment}")
  file(MAKE_DIRECTORY "${environment}/tmp")
  convkit_run(${package} code python3 -m venv --without-pip "${environment}")
  if(NOT code EQUAL 0)
    set(${result} "${code}" PARENT_SCOPE)
    return()
  endif()
  if(convkit_site_packages)
    file(GLOB own "${environment}/lib/python3*/site-packages")
    file(WRITE "${own}/convkit.pth" "${convkit_site_packages}\n")
  endif()
  # A user's own settings of where pip installs to do not hold here. Python compiles what it imports;
  # pip would take 15 s for all of torch.
  set(pip ${CMAKE_COMMAND} -E env TMPDIR=${environment}/tmp PIP_USER=0 --unset=PIP_TARGET
      --unset=PIP_PREFIX --unset=PIP_ROOT python3 -m pip --python "${environment}/bin/python" install --no-input
      --disable-pip-version-check --no-cache-dir --no-compile --retries 1 ${ARGN})
  convkit_run(${package} code ${pip})
  if(NOT code EQUAL 0)
    convkit_run(${package} code ${pip} --extra-index-url ${CONVKIT_TORCH_INDEX})
  endif()
  file(REMOVE_RECURSE "${environment}/tmp")
  if(code EQUAL 0)
    file(TOUCH "${environment}/${stamp}")
  endif()
  set(${result} "${code}" PARENT_SCOPE)
endfunction()

# The CMake folder of the active Python's torch, found without importing it: 0.1 s instead of 2. Not
# one for CUDA where there is no nvcc: LibTorch's config stops there.
function(convkit_active_torch result)
  set(${result} "" PARENT_SCOPE)
  set(python python3)
  if(CONVKIT_WHEEL)
    set(python "${Python3_EXECUTABLE}")  # the one whose pip asks
  endif()
  execute_process(COMMAND "${python}" -c [[
import importlib.util, os, runpy
spec = importlib.util.find_spec("torch")
if spec and spec.submodule_search_locations:
    folder = list(spec.submodule_search_locations)[0]
    version = runpy.run_path(os.path.join(folder, "version.py"))
    print(folder, version["__version__"], version.get("cuda") or version.get("hip"), sep=";", end="")
]] OUTPUT_VARIABLE found ERROR_QUIET)
  list(LENGTH found fields)
  if(fields EQUAL 3)
    list(GET found 0 folder)
    list(GET found 1 version)
    list(GET found 2 cuda)
    find_program(nvcc nvcc PATHS ENV CUDA_HOME PATH_SUFFIXES bin NO_CACHE)
    if(version VERSION_LESS 2.11)
      message(STATUS "convkit: the active Python's torch ${version} is older than 2.11: not used")
    elseif(NOT cuda STREQUAL "None" AND NOT nvcc)
      message(STATUS "convkit: the active Python's torch ${version} needs nvcc: not used")
    else()
      set(${result} "${folder}/share/cmake/Torch" PARENT_SCOPE)
    endif()
  endif()
endfunction()

# An interrupted fetch may have left a Torch_DIR that looks whole.
function(convkit_before_Torch)
  cmake_path(IS_PREFIX CONVKIT_DEPS "${Torch_DIR}" ours)
  if(ours AND NOT EXISTS "${CONVKIT_DEPS}/python/whole")
    unset(Torch_DIR CACHE)
  endif()
endfunction()

function(convkit_fetch_Torch)
  convkit_active_torch(folder)
  if(NOT folder)
    convkit_pip(Torch python whole code ${CONVKIT_TORCH})
    if(NOT code EQUAL 0)
      convkit_give_up(Torch "the active Python's torch; `pip install ${CONVKIT_TORCH}` by python3 \
with pip 22.3 or newer, from where pip is set up to look and from ${CONVKIT_TORCH_INDEX}")
    endif()
    file(GLOB folder "${CONVKIT_DEPS}/python/lib/python3*/site-packages/torch/share/cmake/Torch")
  endif()
  message(STATUS "convkit: LibTorch at ${folder}")
  set(Torch_DIR "${folder}" CACHE PATH "LibTorch's CMake folder" FORCE)
endfunction()

# A Python that sees the torch whose LibTorch is in use, with what the parity tests need beside it.
# Where there is none (a LibTorch that is no Python package; no network beside a torch of your own),
# ParityPython_EXECUTABLE is empty, and the parity tests say that they were skipped.
function(convkit_fetch_ParityPython)
  set(python "")
  if(EXISTS "${TORCH_INSTALL_PREFIX}/version.py")
    file(STRINGS "${TORCH_INSTALL_PREFIX}/version.py" version REGEX "^__version__")
    string(REGEX REPLACE "^.*'(.*)'.*$" "\\1" version "${version}")
    cmake_path(GET TORCH_INSTALL_PREFIX PARENT_PATH convkit_site_packages)
    file(SHA256 "${CONVKIT_REQUIREMENTS}" hash)
    string(SHA256 hash "${hash} ${version} ${convkit_site_packages}")
    convkit_pip(ParityPython parity whole-${hash} code --no-deps torch==${version}
                -r "${CONVKIT_REQUIREMENTS}")
    cmake_path(IS_PREFIX CONVKIT_DEPS "${convkit_site_packages}" ours)
    if(code EQUAL 0)
      set(python "${CONVKIT_DEPS}/parity/bin/python")
    elseif(ours)
      convkit_give_up(ParityPython "pip install of ${CONVKIT_REQUIREMENTS}")
    endif()
  endif()
  if(NOT python)
    message(WARNING "convkit: the parity tests will be skipped: no Python has both the LibTorch in "
                    "use and what ${CONVKIT_REQUIREMENTS} lists; "
                    "${CONVKIT_DEPS}/ParityPython.log, if there is one, says more")
  endif()
  file(WRITE "${CMAKE_FIND_PACKAGE_REDIRECTS_DIR}/ParityPythonConfig.cmake"
       "set(ParityPython_EXECUTABLE [[${python}]])\n")
endfunction()

# ------------------------------------------------------------------------------------ C++ packages

# LibTorch ships fmt's headers, and they come first in every file that includes LibTorch.
function(convkit_fetch_fmt)
  if(NOT EXISTS "${TORCH_INSTALL_PREFIX}/include/fmt/format.h")
    convkit_debian(fmt libfmt-dev code)
    if(NOT code EQUAL 0)
      convkit_give_up(fmt "LibTorch's own copy; the machine's Debian mirror")
    endif()
    set(fmt_ROOT "${CONVKIT_DEPS}/fmt/usr" CACHE PATH "Where fmt was fetched to" FORCE)
  else()
    file(WRITE "${CMAKE_FIND_PACKAGE_REDIRECTS_DIR}/fmtConfig.cmake" "
      if(NOT TARGET fmt::fmt-header-only)
        add_library(fmt::fmt-header-only INTERFACE IMPORTED GLOBAL)
        target_compile_definitions(fmt::fmt-header-only INTERFACE FMT_HEADER_ONLY=1)
        target_include_directories(fmt::fmt-header-only SYSTEM INTERFACE
                                   [[${TORCH_INSTALL_PREFIX}/include]])
      endif()\n")
  endif()
endfunction()

function(convkit_fetch_CLI11)
  convkit_debian(CLI11 libcli11-dev code)
  if(NOT code EQUAL 0)
    convkit_give_up(CLI11 "libcli11-dev from the machine's Debian mirror")
  endif()
  set(CLI11_ROOT "${CONVKIT_DEPS}/CLI11/usr" CACHE PATH "Where CLI11 was fetched to" FORCE)
endfunction()

function(convkit_fetch_nlohmann_json)
  convkit_debian(nlohmann_json nlohmann-json3-dev code)
  if(NOT code EQUAL 0)
    convkit_give_up(nlohmann_json "nlohmann-json3-dev from the machine's Debian mirror")
  endif()
  set(nlohmann_json_ROOT "${CONVKIT_DEPS}/nlohmann_json/usr" CACHE PATH "Where nlohmann-json was fetched to" FORCE)
endfunction()

function(convkit_fetch_benchmark)
  convkit_debian(benchmark "libbenchmark-dev;libbenchmark1debian" code)
  if(NOT code EQUAL 0)
    convkit_give_up(benchmark "libbenchmark-dev from the machine's Debian mirror")
  endif()
  set(benchmark_ROOT "${CONVKIT_DEPS}/benchmark/usr" CACHE PATH "Where benchmark was fetched to" FORCE)
endfunction()

# Optional, as oneDNN is. Debian's packages for compiling, and those of the libraries themselves.
function(convkit_fetch_JPEG)
  convkit_debian(JPEG "libjpeg62-turbo-dev;libjpeg62-turbo" code)
  if(code EQUAL 0)
    set(JPEG_ROOT "${CONVKIT_DEPS}/JPEG/usr" CACHE PATH "Where libjpeg was fetched to" FORCE)
  endif()
endfunction()

function(convkit_fetch_PNG)
  convkit_debian(PNG "libpng-dev;libpng16-16;zlib1g-dev;zlib1g" code)
  if(code EQUAL 0)
    set(PNG_ROOT "${CONVKIT_DEPS}/PNG/usr" CACHE PATH "Where libpng was fetched to" FORCE)
    set(ZLIB_ROOT "${CONVKIT_DEPS}/PNG/usr" CACHE PATH "Where zlib was fetched to" FORCE)
  endif()
endfunction()

# Optional, and asked for by the target docs alone. Its libraries are found by a script beside it.
function(convkit_fetch_Doxygen)
  set(convkit_with_dependencies TRUE)
  convkit_debian(Doxygen doxygen code)
  set(start "${CONVKIT_DEPS}/Doxygen/start")
  if(code EQUAL 0)
    file(WRITE "${start}" [[#!/bin/sh
prefix=$(dirname "$0")/usr
for folder in "$prefix"/lib/*-linux-gnu; do LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; done
export LD_LIBRARY_PATH
exec "$prefix/bin/doxygen" "$@"
]])
    file(CHMOD "${start}" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
    set(DOXYGEN_EXECUTABLE "${start}" CACHE FILEPATH "Where Doxygen was fetched to" FORCE)
  else()
    message(STATUS "convkit: no doxygen from the machine's Debian mirror, see ${CONVKIT_DEPS}/Doxygen.log")
  endif()
endfunction()

# stb has no CMake config of its own; vcpkg's name for its folder is Stb_INCLUDE_DIR.
function(convkit_fetch_Stb)
  set(hints "${CONVKIT_DEPS}/Stb/usr/include/stb")
  find_path(Stb_INCLUDE_DIR stb_image.h HINTS "${hints}" PATH_SUFFIXES stb)
  if(NOT Stb_INCLUDE_DIR)
    convkit_debian(Stb libstb-dev code)
    if(NOT code EQUAL 0)
      convkit_give_up(Stb "libstb-dev from the machine's Debian mirror")
    endif()
    find_path(Stb_INCLUDE_DIR stb_image.h HINTS "${hints}" PATH_SUFFIXES stb)
  endif()
  file(WRITE "${CMAKE_FIND_PACKAGE_REDIRECTS_DIR}/StbConfig.cmake" "")
endfunction()

function(convkit_fetch_Catch2)
  convkit_debian(Catch2 libcatch2-dev code)
  if(NOT code EQUAL 0)
    convkit_build_catch2(code)
  endif()
  if(NOT code EQUAL 0)
    convkit_give_up(Catch2 "libcatch2-dev from the machine's Debian mirror and its backports; its \
source, commit ${CONVKIT_CATCH2_COMMIT} of ${CONVKIT_CATCH2_SOURCE}")
  endif()
  set(Catch2_ROOT "${CONVKIT_DEPS}/Catch2/usr" CACHE PATH "Where Catch2 was fetched to" FORCE)
endfunction()

# Optional: without it CMakeLists.txt goes on, or stops if it was told to have it.
function(convkit_fetch_dnnl)
  convkit_pip(dnnl dnnl whole code --no-deps ${CONVKIT_DNNL})
  if(code EQUAL 0)
    set(dnnl_ROOT "${CONVKIT_DEPS}/dnnl" CACHE PATH "Where oneDNN was fetched to" FORCE)
  else()
    list(JOIN CONVKIT_DNNL " " packages)
    message(STATUS "convkit: `pip install ${packages}` failed, see ${CONVKIT_DEPS}/dnnl.log")
  endif()
endfunction()

# Optional too. Debian's package has no CMake config.
function(convkit_fetch_Gloo)
  set(hints "${CONVKIT_DEPS}/Gloo/usr/include")
  find_path(Gloo_INCLUDE_DIR gloo/algorithm.h HINTS "${hints}")
  if(NOT Gloo_INCLUDE_DIR)
    convkit_debian(Gloo libgloo-dev code)
    if(NOT code EQUAL 0)
      message(STATUS "convkit: no libgloo-dev from the machine's Debian mirror, see ${CONVKIT_DEPS}/Gloo.log")
    endif()
    find_path(Gloo_INCLUDE_DIR gloo/algorithm.h HINTS "${hints}")
  endif()
endfunction()

# Unpacks Debian packages (a list) into .deps/<package>, from the mirror that the machine itself uses (and
# its backports), with lists of its own: apt's state needs root. The folder appears when it is whole. Where
# convkit_with_dependencies is set, also what they depend on and the machine lacks.
function(convkit_debian package debian_packages result)
  set(${result} 0 PARENT_SCOPE)
  file(LOCK "${CONVKIT_DEPS}/lock" GUARD FUNCTION TIMEOUT 3600)
  if(EXISTS "${CONVKIT_DEPS}/${package}")
    return()
  endif()
  list(JOIN debian_packages " " names)
  message(STATUS "convkit: unpacks Debian's ${names} into .deps/${package}")
  set(work "${CONVKIT_DEPS}/apt")
  # The lists hold for the rest of this configure.
  get_property(updated GLOBAL PROPERTY convkit_apt_updated)
  if(updated)
    file(REMOVE_RECURSE "${work}/archives" "${work}/unpacked" "${work}/sources.list")
  else()
    file(REMOVE_RECURSE "${work}")
  endif()
  file(MAKE_DIRECTORY "${work}/lists/partial" "${work}/archives/partial" "${work}/unpacked")
  file(WRITE "${CONVKIT_DEPS}/${package}.log" "")

  # Lines of "Packages <mirror> <suite> <component>".
  execute_process(COMMAND apt-get indextargets --no-release-info
                          --format "$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)"
                  OUTPUT_VARIABLE targets ERROR_QUIET)
  set(debian "")
  if(EXISTS /etc/os-release)
    file(STRINGS /etc/os-release debian REGEX "^ID=debian$")
  endif()
  set(keyring /usr/share/keyrings/debian-archive-keyring.gpg)
  set(signed_by "")
  if(debian AND EXISTS ${keyring})
    set(signed_by "[signed-by=${keyring}]")
  endif()
  # The releases themselves, "bookworm" or "stable"; not "bookworm-updates".
  string(REGEX MATCHALL "Packages [^ ]+ [a-z]+ [a-z]+" targets "${targets}")
  list(REMOVE_DUPLICATES targets)
  set(backports "")
  foreach(target IN LISTS targets)
    string(REGEX REPLACE "Packages ([^ ]+) ([a-z]+) ([a-z]+)"
           "deb ${signed_by} \\1 \\2 \\3\ndeb ${signed_by} \\1 \\2-backports \\3\n" lines "${target}")
    file(APPEND "${work}/sources.list" "${lines}")
    string(REGEX REPLACE "Packages [^ ]+ ([a-z]+) [a-z]+" "-t;\\1-backports" backports "${target}")
  endforeach()

  set(apt apt-get -q -o Dir::State::Lists=${work}/lists -o Dir::Cache=${work}
      -o Dir::Etc::SourceList=${work}/sources.list -o Dir::Etc::SourceParts=/dev/null
      -o APT::Sandbox::User=root -o Acquire::Languages=none)
  if(NOT updated)
    convkit_run(${package} code ${apt} update)
    if(code EQUAL 0)
      set_property(GLOBAL PROPERTY convkit_apt_updated TRUE)
    endif()
  endif()
  if(convkit_with_dependencies)
    execute_process(COMMAND ${apt} --simulate --no-install-recommends install ${debian_packages}
                    OUTPUT_VARIABLE simulated ERROR_VARIABLE simulated)
    file(APPEND "${CONVKIT_DEPS}/${package}.log" "${simulated}\n")
    string(REGEX MATCHALL "\nInst [^ ]+" debian_packages "${simulated}")
    list(TRANSFORM debian_packages REPLACE "\nInst " "")
    set(backports "")
  endif()
  set(download ${CMAKE_COMMAND} -E chdir "${work}/archives" ${apt} download ${debian_packages})
  convkit_run(${package} code ${download} ${backports})
  if(NOT code EQUAL 0)
    convkit_run(${package} code ${download})  # a mirror without backports
  endif()
  foreach(debian_package IN LISTS debian_packages)
    file(GLOB archive "${work}/archives/${debian_package}_*.deb")
    if(code EQUAL 0)
      convkit_run(${package} code dpkg-deb -x "${archive}" "${work}/unpacked")
    endif()
  endforeach()
  if(code EQUAL 0)
    file(RENAME "${work}/unpacked" "${CONVKIT_DEPS}/${package}")
  else()
    set(${result} 1 PARENT_SCOPE)
  endif()
  file(REMOVE_RECURSE "${work}/archives" "${work}/unpacked")
endfunction()

function(convkit_build_catch2 result)
  message(STATUS "convkit: builds Catch2 from its source into .deps/Catch2")
  set(work "${CONVKIT_DEPS}/Catch2-source")
  set(${result} 0 PARENT_SCOPE)
  file(LOCK "${CONVKIT_DEPS}/lock" GUARD FUNCTION TIMEOUT 3600)
  if(EXISTS "${CONVKIT_DEPS}/Catch2")
    return()
  endif()
  file(REMOVE_RECURSE "${work}")
  convkit_run(Catch2 code git init -q "${work}")
  convkit_run(Catch2 code git -C "${work}" fetch --depth 1 ${CONVKIT_CATCH2_SOURCE}
              ${CONVKIT_CATCH2_COMMIT})
  if(code EQUAL 0)
    convkit_run(Catch2 code git -C "${work}" checkout -q FETCH_HEAD)
    convkit_run(Catch2 code ${CMAKE_COMMAND} -S "${work}" -B "${work}/build" -G Ninja
                -D CMAKE_BUILD_TYPE=Release -D CMAKE_CXX_STANDARD=20 -D BUILD_TESTING=OFF
                -D CMAKE_INSTALL_PREFIX=${work}/installed/usr)
    convkit_run(Catch2 code ${CMAKE_COMMAND} --build "${work}/build" --target install)
  endif()
  if(code EQUAL 0)
    file(RENAME "${work}/installed" "${CONVKIT_DEPS}/Catch2")
  endif()
  file(REMOVE_RECURSE "${work}")
  set(${result} "${code}" PARENT_SCOPE)
endfunction()
