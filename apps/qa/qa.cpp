#include "qa.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <filesystem>

namespace qa {

int answer(int argc, char** argv, const std::string& question, const std::function<void()>& print,
           const std::function<void(CLI::App&)>& add_options) {
  const std::string name = std::filesystem::path(argv[0]).filename().string();
  CLI::App app("Example: " + name + "\n\nAnswers a question about convolution layers: " + question,
               name);
  if (add_options) add_options(app);
  try {
    app.parse(argc, argv);
    fmt::print("{}\n\n", question);
    print();
    fmt::print("\n");
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
    fmt::print(stderr, "{}: cannot write to the standard output\n", name);
  } catch (const CLI::ParseError& error) {
    const bool help = app.exit(error) == 0;
    return help ? 0 : 2;
  } catch (const c10::Error& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what_without_backtrace());
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what());
  }
  return 2;
}

std::string with_commas(int64_t number) {
  if (number < 1000) return std::to_string(number);
  return with_commas(number / 1000) + fmt::format(",{:03}", number % 1000);
}

}  // namespace qa
