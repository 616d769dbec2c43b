#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace CLI {
class App;
}

/// What the eight apps of the Q&A share.
namespace qa {

/// Handles the command line and errors, prints the question, then lets `print` answer it.
/// Returns the exit code: 0, or 2 for a wrong command line, a bad file or another error.
int answer(int argc, char** argv, const std::string& question, const std::function<void()>& print,
           const std::function<void(CLI::App&)>& add_options = {});

/// 73856 -> "73,856".
std::string with_commas(int64_t number);

}  // namespace qa
