#include "qa.h"

#include <CLI/CLI.hpp>
#include <c10/util/Exception.h>
#include <fmt/format.h>

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
  std::string digits = std::to_string(number);
  for (int64_t place = static_cast<int64_t>(digits.size()) - 3; place > 0; place -= 3) {
    digits.insert(static_cast<std::size_t>(place), ",");
  }
  return digits;
}

}  // namespace qa
