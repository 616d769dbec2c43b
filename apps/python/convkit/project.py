"""A folder that proves a page: the page, a recording, a program that compares them, and how to build it."""

import os

from .body import Body
from .formatting import formatted
from .options import fail, namespace
from .record import record
from .results import Record

USING = "using Tensors = std::vector<torch::Tensor>;\n"
HELPERS = """
template <typename Member>
void add(Tensors& all, const Member& member) {
  if constexpr (std::is_same_v<Member, torch::Tensor>) {
    if (member.defined()) all.push_back(member);
  } else {
    for (const auto& one : member) add(all, one);
  }
}

/// The tensors in what a module gives, without those that it does not give in this mode.
template <typename... Members>
Tensors tensors_of(const Members&... members) {
  Tensors all;
  (add(all, members), ...);
  return all;
}
"""
CHECK = """// Compares {name}.h with what Python computed: exits with 0 if all is equal, 1 if not, 2 for a bad file.
#include "{name}.h"

#include <convkit/compare.h>{include}

#include <ATen/Parallel.h>

#include <exception>
#include <iostream>{more}
#include <vector>

namespace {{

{helpers}{forward}{compiled}
}}  // namespace

int main(int argc, char** argv) {{
  try {{
    const auto recording = convkit::load_recording(argc > 1 ? argv[1] : RECORDING);
    torch::set_num_threads(static_cast<int>(recording.threads));
    torch::manual_seed(static_cast<uint64_t>(recording.seed));
    {name}::{root} net;
    const auto forward = [&net](const Tensors& inputs) {{ return run(net, inputs); }};
    const auto comparison = convkit::compare(*net, forward, recording);
    std::cout << comparison;
    return comparison{and_compiled} ? 0 : 1;
  }} catch (const c10::Error& error) {{
    std::cerr << "check: " << error.what_without_backtrace() << '\\n';
  }} catch (const std::exception& error) {{
    std::cerr << "check: " << error.what() << '\\n';
  }}
  return 2;
}}
"""
COMPILED = """
/// Whether compile() computes the same at all sizes of the recording, to the 1e-3 that it holds its plans to.
bool is_compiled({name}::{root}& net, const convkit::Recording& recording) {{
  const torch::NoGradGuard no_grad;
  for (const auto& call : recording.calls) {{
    if (!call.path.empty()) continue;
    const torch::Tensor& x = call.inputs.at(0).second;
    try {{
      const auto fast = convkit::compile(net, x);
      const auto found = convkit::difference(fast(x), net(x.clone()));
      const bool close = found.explanation.empty() && found.relative_to_scale <= 1e-3;
      std::cout << "compile() for " << x.sizes() << ": " << (close ? "the same" : "different")
                << ", by " << found.relative_to_scale << " of the largest number\\n";
      if (!close) return false;
    }} catch (const c10::Error& error) {{
      std::cout << "compile() refuses it: " << error.what_without_backtrace() << '\\n';
      return true;
    }}
  }}
  return true;
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


def members(page, text, kind):
    """C++ of all tensors in a result."""
    if not isinstance(kind, Record):
        return [text]
    return [one for key, inner in page.records.of(kind).items()
            for one in members(page, Body.member(text, kind, key), inner)]


def forward_of(page, name):
    """A function that runs the page's module as compare() wants it."""
    root = page.specs.structs[id(page.root)]
    given = ", ".join(f"inputs.at({i})" for i in range(len(root.inputs)))
    call = f"net({given})"
    if root.result == "Tensor":
        body = [f"return {{{call}}};"]
    elif root.result == "Tensors":
        body = [f"return tensors_of({call});"]
    else:
        body = [f"const auto y = {call};", f"return tensors_of({', '.join(members(page, 'y', root.result))});"]
    return "\n".join([f"Tensors run({name}::{root.name}& net, const Tensors& inputs) {{", *body, "}", ""])


def replaced(path, text):
    """Writes a file. Another one of that name, which may have been worked on, is kept; notes say so."""
    kept = []
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            if file.read() != text:
                os.replace(path, f"{path}.before")
                kept = [f"{path} was another: it is now {path}.before"]
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    return kept


def write(given, page, name, text, larger):
    root = page.specs.structs[id(page.root)]
    names = {"name": name, "root": root.name}
    # What gives one tensor needs no helpers, and what takes one too can be compiled.
    parts = {"more": "", "helpers": USING + "\n", "include": "", "compiled": "", "and_compiled": ""}
    if root.result != "Tensor":
        parts |= {"more": "\n#include <type_traits>", "helpers": USING + HELPERS + "\n"}
    if root.is_block:
        parts |= {"include": "\n#include <convkit/compile.h>", "compiled": COMPILED.format(**names),
                  "and_compiled": " && is_compiled(net, recording)"}
    check = CHECK.format(forward=forward_of(page, name), **parts, **names)
    try:
        os.makedirs(given.project, exist_ok=True)
        files = {f"{name}.h": text, "check.cpp": formatted(check)[0], "CMakeLists.txt": CMAKE.format(name=name)}
        kept = [note for file, content in files.items() for note in replaced(os.path.join(given.project, file), content)]
    except OSError as error:
        fail("--project", "a folder that can be written", f"{given.project}: {error}")
    notes, _ = record(namespace(given, os.path.join(given.project, f"{name}.safetensors")), larger)
    return [*kept, *notes] if larger else [*kept, *notes, "recorded at one size alone: the module or the page takes no others"]
