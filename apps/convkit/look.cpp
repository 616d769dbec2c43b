// convkit look MODEL: what the channels of a layer make of a photograph.
#include "../cli.h"
#include "../lettering.h"
#include "canvas.h"
#include "commands.h"
#include "load.h"
#include "photograph.h"

#include <convkit/compare.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

namespace tool {
namespace {

constexpr int64_t kMargin = 16;
constexpr int64_t kLine = lettering::kHeight;
constexpr int64_t kSide = 160;    // about that of a map
constexpr int64_t kWidest = 224;  // larger maps are made smaller

struct LookOptions {
  NetworkFlags network;
  PhotographFlags photograph;
  std::string layer;
  int64_t channels = 64;
  std::string out;
};

/// The output [C, H, W] of the first call of a layer.
torch::Tensor output_of(torch::nn::Module& network, const LookOptions& options,
                        const torch::Tensor& input) {
  const auto recording = convkit::record(network, input);
  std::vector<std::string> known;
  const convkit::Recording::Call* found = nullptr;
  for (const auto& call : recording.calls) {
    if (call.index == 0 && !call.path.empty()) known.push_back(call.path);
    if (call.index == 0 && call.path == options.layer) found = &call;
  }
  if (found == nullptr || found->path.empty()) {
    const bool is_there = recording.classes.contains(options.layer) && !options.layer.empty();
    refuse_layer(is_there
                     ? "a layer whose calls are seen: one with weights or parts, or in a Sequential"
                     : "a layer of " + options.network.model,
                 options.layer, known);
  }
  TORCH_CHECK_VALUE(found->outputs.size() == 1, "--layer: expected a layer with one output, got ",
                    options.layer, " with ", found->outputs.size());
  const torch::Tensor& output = found->outputs[0].second;
  TORCH_CHECK_VALUE(output.dim() == 4 && output.numel() > 0,
                    "--layer: expected a layer that gives maps, [1, C, H, W], got ", options.layer,
                    ", which gives [", fmt::format("{}", fmt::join(output.sizes(), ", ")), "]");
  return output[0];
}

torch::Tensor fitted(const torch::Tensor& map) {
  const int64_t longer = std::max(map.size(0), map.size(1));
  if (longer <= kWidest) return draw::enlarged(map, draw::factor_to(kSide, map));
  const auto smaller = [&](int64_t side) { return std::max<int64_t>(1, side * kWidest / longer); };
  return torch::adaptive_avg_pool2d(map.unsqueeze(0),
                                    {smaller(map.size(0)), smaller(map.size(1))})[0];
}

/// From 0, the least of its values, to 1. A map of one value is 0.
torch::Tensor normalised(const torch::Tensor& map, double least, double largest) {
  if (!(largest > least)) return torch::zeros_like(map);
  return (map - least) / (largest - least);
}

torch::Tensor fitted_photograph(const torch::Tensor& pixels) {
  const int64_t longer = std::max(pixels.size(1), pixels.size(2));
  if (longer <= kWidest) return pixels;
  const auto smaller = [&](int64_t side) { return std::max<int64_t>(1, side * kWidest / longer); };
  return torch::adaptive_avg_pool2d(pixels.to(torch::kFloat),
                                    {smaller(pixels.size(1)), smaller(pixels.size(2))})
      .round()
      .to(torch::kByte);
}

/// What the network sees, and beside it the words that explain the maps.
void draw_heading(draw::Canvas& canvas, const LookOptions& options, const torch::Tensor& maps,
                  int64_t count, const torch::Tensor& seen) {
  canvas.paint(kMargin, kMargin, seen);
  const int64_t x = 2 * kMargin + seen.size(2);
  int64_t y = kMargin;
  const auto write = [&](const std::string& text) {
    canvas.write(y, x, text);
    y += kLine * 14 / 10;
  };
  write(fmt::format("{}: {}", options.network.model, options.layer));
  write(
      fmt::format("{} of {} channels of {} × {}", count, maps.size(0), maps.size(1), maps.size(2)));
  y += kLine / 2;
  const torch::Tensor ramp = torch::linspace(0, 1, 256).expand({kLine, 256});
  canvas.paint(y, x, draw::viridis(ramp));
  y += kLine * 14 / 10;
  write("from each map's least value to its largest");
}

void draw_map(draw::Canvas& canvas, int64_t top, int64_t left, const torch::Tensor& map,
              int64_t channel) {
  const auto least = map.min().item<double>();
  const auto largest = map.max().item<double>();
  canvas.paint(top, left, draw::viridis(fitted(normalised(map, least, largest))));
  const int64_t below = top + fitted(map).size(0) + 2;
  canvas.write(below, left, fmt::format("channel {}", channel));
  canvas.write(below + kLine, left, fmt::format("{:.2g} to {:.2g}", least, largest));
}

int draw_maps(const LookOptions& options) {
  convkit::models::Network network = make_network(options.network);
  const Photograph photograph = prepare(options.photograph, options.network.model);
  const torch::Tensor maps = output_of(*network, options, photograph.input).to(torch::kFloat);
  const int64_t count = std::min(options.channels, maps.size(0));

  const torch::Tensor shape = fitted(maps[0]);
  const int64_t height = shape.size(0);
  const int64_t width = shape.size(1);
  const int64_t tile = std::max<int64_t>(width, 16 * lettering::kWidth);
  const int64_t most = 1500 / (tile + kMargin);  // in a row
  const int64_t rows = (count + most - 1) / most;
  // As many in each row, but room for the heading.
  const int64_t columns = std::max<int64_t>(4, (count + rows - 1) / rows);
  const torch::Tensor seen = fitted_photograph(photograph.pixels);
  const int64_t top = seen.size(1) + 2 * kMargin + kLine;
  const int64_t row_height = height + 2 * kLine + kMargin;
  draw::Canvas canvas(top + rows * row_height + kMargin / 2, kMargin + columns * (tile + kMargin));
  draw_heading(canvas, options, maps, count, seen);
  for (int64_t channel = 0; channel < count; ++channel) {
    const int64_t y = top + channel / columns * row_height;
    const int64_t x = kMargin + channel % columns * (tile + kMargin);
    draw_map(canvas, y, x, maps[channel], channel);
  }
  canvas.save(options.out);
  return 0;
}

}  // namespace

void add_look(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand(
      "look", "Draw what the channels of a layer make of a photograph, as a picture of its maps");
  command->footer(
      "convkit look resnet18 --weights resnet18-f37072fd.pth --image photo.jpg --layer "
      "layer1.0.conv1 -o maps.png");
  const auto options = std::make_shared<LookOptions>();
  add_network_flags(*command, options->network);
  add_photograph_flags(*command, options->photograph);
  command
      ->add_option("--layer", options->layer,
                   "The path of a module, as `convkit summary --json` has it")
      ->required();
  command->add_option("--channels", options->channels, "Show at most so many, the first ones")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1024}));
  command->add_option("-o,--output", options->out, "The PNG to write; replaced when whole")
      ->required();
  command->callback([=, &chosen] { chosen = [=] { return draw_maps(*options); }; });
}

}  // namespace tool
