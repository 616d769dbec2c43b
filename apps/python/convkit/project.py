"""A folder that proves a page: the page, a recording, a program that compares them, and how to build it."""

import os

from .options import fail, namespace
from .record import record
from .refused import Refused

CHECK = """// Compares {name}.h with what Python computed: exits with 0 if all is equal, 1 if not, 2 for a bad file.
#include "{name}.h"

#include <convkit/compare.h>

#include <ATen/Parallel.h>

#include <exception>
#include <iostream>

int main(int argc, char** argv) {{
  try {{
    const auto recording = convkit::load_recording(argc > 1 ? argv[1] : RECORDING);
    torch::set_num_threads(static_cast<int>(recording.threads));
    torch::manual_seed(static_cast<uint64_t>(recording.seed));
    {name}::{root} net;
    const auto comparison = convkit::compare(*net, recording);
    std::cout << comparison;
    return comparison ? 0 : 1;
  }} catch (const c10::Error& error) {{
    std::cerr << "check: " << error.what_without_backtrace() << '\\n';
  }} catch (const std::exception& error) {{
    std::cerr << "check: " << error.what() << '\\n';
  }}
  return 2;
}}
"""
CMAKE = """cmake_minimum_required(VERSION 3.25)
project({name}_check LANGUAGES CXX)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

# The convkit that is installed, by CMAKE_PREFIX_PATH, or its source.
set(CONVKIT_SOURCE "" CACHE PATH "The folder of convkit's source, if it is not installed")
if(CONVKIT_SOURCE)
  add_subdirectory(${{CONVKIT_SOURCE}} convkit)
else()
  find_package(convkit REQUIRED)
endif()

add_executable(check check.cpp)
target_link_libraries(check PRIVATE convkit::convkit)
target_compile_definitions(check PRIVATE RECORDING="${{CMAKE_CURRENT_SOURCE_DIR}}/{name}.safetensors")
"""


def check_fits(page):
    root = page.specs.structs[id(page.root)]
    if not root.is_block:
        raise Refused(type(page.root), "", "it does not map one tensor to one, which is all that compare() takes yet")


def write(given, page, name, text):
    root = page.specs.structs[id(page.root)]
    try:
        os.makedirs(given.project, exist_ok=True)
        files = {f"{name}.h": text, "check.cpp": CHECK.format(name=name, root=root.name),
                 "CMakeLists.txt": CMAKE.format(name=name)}
        for file, content in files.items():
            with open(os.path.join(given.project, file), "w", encoding="utf-8") as out:
                out.write(content)
    except OSError as error:
        fail("--project", "a folder that can be written", f"{given.project}: {error}")
    record(namespace(given, os.path.join(given.project, f"{name}.safetensors")))
