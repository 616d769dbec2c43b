#include "qa.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <filesystem>

namespace qa {

int answer(int argc, char** argv, const std::string& question, const std::function<void()>& print) {
  const std::string name = std::filesystem::path(argv[0]).filename().string();
  CLI::App app("Example: " + name + "\n\nAnswers a question about convolution layers: " + question,
               name);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    app.exit(error);
    return 2;
  }

  try {
    fmt::print("{}\n\n", question);
    print();
    fmt::print("\n");
    return 0;
  } catch (const c10::Error& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what_without_backtrace());
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what());
  }
  return 1;
}

std::string with_commas(int64_t number) {
  if (number < 1000) return std::to_string(number);
  return with_commas(number / 1000) + fmt::format(",{:03}", number % 1000);
}

}  // namespace qa
