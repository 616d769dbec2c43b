// classify PATH...: what a network takes photographs for.
#include "vision.h"

#include <ATen/core/TensorBody.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/topk.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace {

struct Guess {
  int64_t number;
  double probability;
};

std::vector<Guess> best(const torch::Tensor& logits, int64_t count) {
  const torch::Tensor probabilities = at::softmax(logits[0].to(torch::kFloat), 0);
  const auto [values, numbers] = at::topk(probabilities, std::min(count, probabilities.size(0)));
  std::vector<Guess> guesses;
  for (int64_t i = 0; i < values.size(0); ++i) {
    guesses.push_back({numbers[i].item<int64_t>(), values[i].item<double>()});
  }
  return guesses;
}

void print(const std::string& path, const std::vector<Guess>& guesses,
           const vision::Network& network) {
  fmt::print("{}\n", cli::printable(path));
  for (const Guess& guess : guesses) {
    fmt::print("  {:.6f}  {}\n", guess.probability, cli::printable(network.label(guess.number)));
  }
}

void print_json(const std::string& path, const std::vector<Guess>& guesses,
                const vision::Network& network) {
  nlohmann::ordered_json line{{"file", path}, {"classes", nlohmann::ordered_json::array()}};
  for (const Guess& guess : guesses) {
    line["classes"].push_back({{"class", guess.number},
                               {"label", network.label(guess.number)},
                               {"probability", guess.probability}});
  }
  fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Says what a network takes photographs for: the most probable classes of each, as Python's "
      "pipeline does.\nExit code: 0; 2 for a wrong command line, bad weights, or a file that is no "
      "image.",
      "classify");
  app.footer(
      "Example: classify photo.jpg --model mobilenet_v2 --weights mobilenet_v2-7ebf99e0.pth "
      "--labels names.txt");
  vision::Flags flags;
  int64_t top = 5;
  bool json = false;
  vision::add_flags(app, flags);
  app.add_option("--top", top, "How many classes to print")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
  app.add_flag("--json", json, "Print a line of JSON for each file");
  return cli::run(app, argc, argv, [&] {
    vision::Network network(flags, convkit::models::Preset::Kind::kClassification);
    vision::Images images(app.get_name(), flags.paths);
    return images.each(
        network, [&](const std::string& path, const torch::Tensor&, const torch::Tensor& logits) {
          (json ? print_json : print)(path, best(logits, top), network);
        });
  });
}
