#pragma once

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

/// All apps share these: the command line, errors, numbers as people read them.
namespace cli {

/// Parses the command line, runs `body`, and returns the exit code: `body`'s, 0 after --help and --version, or 2
/// for a wrong command line, a bad file or another error, which it says on the standard error.
int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body);

/// Writes a file as save_checkpoint() does: whatever happens, there is the old file or the new one,
/// whole. A pipe or a device is written to as it is. Throws c10::Error where it cannot.
void write_file(const std::string& path, const std::string& bytes);

/// 73856 -> "73,856".
std::string with_commas(int64_t number);

/// 1, "tensor" -> "1 tensor"; 2 -> "2 tensors".
std::string counted(int64_t number, const std::string& what);

/// A text of a file as a terminal may show it: with quotes and escapes where it has control
/// characters, else as it is.
std::string printable(const std::string& text);

/// A line on a terminal that shows how many images are done, how fast and how long the others take;
/// nothing elsewhere, and unless it is `wanted`.
class Progress {
 public:
  explicit Progress(bool wanted = true);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Takes the line away, for another one.
  void clear() const;
  /// Shows the line, but not more often than ten times in a second. `note` ends it.
  void show(int64_t done, int64_t of, const std::string& note = "");

 private:
  bool shown_;
  std::chrono::steady_clock::time_point begun_;
  std::chrono::steady_clock::time_point last_;
  int64_t first_ = -1;  // how many were done when it began
};

}  // namespace cli
