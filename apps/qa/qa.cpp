#include "qa.h"

#include "../cli.h"

#include <fmt/format.h>

#include <filesystem>

namespace qa {

int answer(int argc, char** argv, const std::string& question, const std::function<void()>& print,
           const std::function<void(CLI::App&)>& add_options) {
  const std::string name = std::filesystem::path(argv[0]).filename().string();
  CLI::App app("Example: " + name + "\n\nAnswers a question about convolution layers: " + question,
               name);
  if (add_options) add_options(app);
  return cli::run(app, argc, argv, [&] {
    fmt::print("{}\n\n", question);
    print();
    fmt::print("\n");
    return 0;
  });
}

std::string with_commas(int64_t number) {
  return cli::with_commas(number);
}

}  // namespace qa
