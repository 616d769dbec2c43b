#pragma once

#include <cstdint>
#include <functional>
#include <string>

/// What the eight apps of the Q&A share.
namespace qa {

/// Handles the command line and errors, prints the question, then lets `print` answer it.
/// Returns the exit code: 0, 1 for an error, 2 for a wrong command line.
int answer(int argc, char** argv, const std::string& question, const std::function<void()>& print);

/// 73856 -> "73,856".
std::string with_commas(int64_t number);

}  // namespace qa
