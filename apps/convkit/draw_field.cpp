// convkit draw field MODEL: what one place of a layer's output sees of a photograph.
#include "../cli.h"
#include "../lettering.h"
#include "canvas.h"
#include "commands.h"
#include "flow.h"
#include "load.h"
#include "photograph.h"

#include <convkit/summary.h>

#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/variable.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>

namespace tool {
namespace {

constexpr int64_t kBorder = 20;
constexpr int64_t kLineHeight = lettering::kHeight * 14 / 10;
constexpr uint32_t kRed = 0xd55e00;  // Okabe and Ito's vermilion
constexpr uint32_t kPale = 0xb0b0b0;

struct FieldOptions {
  NetworkFlags network;
  PhotographFlags photograph;
  std::string layer;
  std::vector<int64_t> place;
  std::string out;
};

/// A part of the input, which may go beyond its edges.
struct Region {
  int64_t top;
  int64_t left;
  int64_t height;
  int64_t width;
};

const convkit::SummaryRow& row_of(const convkit::Summary& summary, const draw::Flow& flow,
                                  const FieldOptions& options) {
  std::vector<std::string> known;
  const convkit::SummaryRow* found = nullptr;
  for (const auto& row : summary.rows) {
    if (row.path.empty()) continue;
    const int64_t call = flow.first_call(row.path);
    if (call >= 0) known.push_back(row.path);
    if (row.path == options.layer) found = &row;
  }
  if (found == nullptr) {
    refuse_layer("a layer of " + options.network.model, options.layer, known);
  }
  if (flow.first_call(options.layer) < 0) {
    refuse_layer("a layer whose calls are seen: one with weights or parts, or in a Sequential",
                 options.layer, known);
  }
  const auto& outputs = found->output_sizes;
  TORCH_CHECK_VALUE(outputs.size() == 1, "--layer: expected a layer with one output, got ",
                    options.layer, " with ", outputs.size());
  TORCH_CHECK_VALUE(outputs[0].size() == 4,
                    "--layer: expected a layer that gives maps, [1, C, H, W], got ", options.layer,
                    ", which gives [", fmt::format("{}", fmt::join(outputs[0], ", ")), "]");
  return *found;
}

/// By default the middle.
std::array<int64_t, 2> place_of(const FieldOptions& options, const std::vector<int64_t>& sizes) {
  if (options.place.empty()) return {sizes[2] / 2, sizes[3] / 2};
  const int64_t y = options.place[0];
  const int64_t x = options.place[1];
  TORCH_CHECK_VALUE(y < sizes[2] && x < sizes[3], "--place: expected Y,X within ",
                    options.layer + "'s ", sizes[2], " x ", sizes[3], " places, got ", y, ",", x);
  return {y, x};
}

std::optional<Region> theoretical(const convkit::SummaryRow& row,
                                  const std::array<int64_t, 2>& place) {
  if (!row.receptive_field) return std::nullopt;
  const auto& [down, across] = *row.receptive_field;
  return Region{.top = down.start + place[0] * down.jump,
                .left = across.start + place[1] * across.jump,
                .height = down.size,
                .width = across.size};
}

/// How much each pixel of the input changes the sum of the channels at that place: [H, W].
torch::Tensor effective(const draw::Flow& flow, const std::string& layer,
                        const std::vector<int64_t>& sizes, const std::array<int64_t, 2>& place) {
  const auto& call = flow.calls[static_cast<std::size_t>(flow.first_call(layer))];
  TORCH_CHECK(call.outputs.size() == 1, "--layer: expected a layer that depends on the image, got ",
              layer);
  torch::Tensor gradient = torch::zeros(sizes);
  gradient.select(3, place[1]).select(2, place[0]).fill_(1);
  const auto gradients = torch::autograd::Engine::get_default_engine().execute(
      {call.outputs[0]}, {gradient}, /*keep_graph=*/false, /*create_graph=*/false,
      /*accumulate_grad=*/false, {torch::autograd::impl::gradient_edge(flow.input)});
  return gradients[0][0].abs().sum(0);
}

/// The side of the smallest square around the middle of what is seen that has half of it.
int64_t half_side(const torch::Tensor& weights) {
  const auto total = weights.sum().item<double>();
  const auto middle = [&](int64_t axis) {
    const torch::Tensor along = weights.sum(1 - axis);
    const torch::Tensor places = torch::arange(along.size(0), torch::kFloat);
    return static_cast<int64_t>(std::lround((along * places).sum().item<double>() / total));
  };
  const int64_t y = middle(0);
  const int64_t x = middle(1);
  int64_t reach = 0;
  while (weights.slice(0, std::max<int64_t>(0, y - reach), y + reach + 1)
             .slice(1, std::max<int64_t>(0, x - reach), x + reach + 1)
             .sum()
             .item<double>() < total / 2) {
    ++reach;
  }
  return 2 * reach + 1;
}

/// The photograph in pale grey, with the gradient's magnitude in colour where it is.
torch::Tensor overlaid(const torch::Tensor& pixels, const torch::Tensor& weights) {
  const torch::Tensor grey =
      (pixels.to(torch::kFloat).mean(0, /*keepdim=*/true) * 0.5 + 120).expand_as(pixels);
  // The root shows also what is small beside the largest.
  const torch::Tensor share = (weights / weights.max().clamp_min(1e-30)).sqrt();
  const torch::Tensor color = draw::viridis(share).to(torch::kFloat);
  const torch::Tensor cover = (share * 3).clamp(0, 0.9).unsqueeze(0);
  return (grey * (1 - cover) + color * cover).round().to(torch::kByte);
}

std::vector<std::string> captions(const FieldOptions& options, const std::array<int64_t, 2>& place,
                                  const std::optional<Region>& region,
                                  const torch::Tensor& weights) {
  std::vector<std::string> lines = {fmt::format("{}: {}, row {}, column {}", options.network.model,
                                                options.layer, place[0], place[1])};
  lines.push_back(region ? fmt::format("can see {} × {} pixels: rows {} to {}, columns {} to {}",
                                       region->height, region->width, region->top,
                                       region->top + region->height - 1, region->left,
                                       region->left + region->width - 1)
                         : "can see: not known");
  lines.push_back(
      weights.max().item<double>() > 0
          ? fmt::format("does see: half of its gradient is in {0} × {0} pixels", half_side(weights))
          : "does see: its gradient is 0");
  return lines;
}

/// The photograph, and what the place can see. Where that goes beyond the photograph, there is room.
torch::Tensor panel(const torch::Tensor& pixels, const std::optional<Region>& region,
                    int64_t factor) {
  const int64_t height = pixels.size(1);
  const int64_t width = pixels.size(2);
  if (!region) return draw::enlarged(pixels, factor);
  // No wider than the photograph itself: there is nothing to see.
  const auto room = [](int64_t beyond, int64_t size) {
    return std::clamp<int64_t>(beyond, 0, size);
  };
  const int64_t above = room(-region->top, height);
  const int64_t before = room(-region->left, width);
  const int64_t below = room(region->top + region->height - height, height);
  const int64_t after = room(region->left + region->width - width, width);
  draw::Canvas canvas((above + height + below) * factor, (before + width + after) * factor);
  canvas.frame(0, 0, canvas.pixels().size(1), canvas.pixels().size(2), 1, kPale);
  canvas.paint(above * factor, before * factor, draw::enlarged(pixels, factor));
  canvas.frame((above + region->top) * factor, (before + region->left) * factor,
               region->height * factor, region->width * factor, 3, kRed);
  return canvas.pixels();
}

/// The photograph twice: with what the place can see, and with what it does see.
void draw_picture(const FieldOptions& options, const torch::Tensor& pixels,
                  const convkit::SummaryRow& row, const std::array<int64_t, 2>& place,
                  const torch::Tensor& weights) {
  const auto region = theoretical(row, place);
  const int64_t factor = draw::factor_to(448, pixels);
  const torch::Tensor can = panel(pixels, region, factor);
  const torch::Tensor does = panel(overlaid(pixels, weights), region, factor);
  const auto lines = captions(options, place, region, weights);
  int64_t text_width = 0;
  for (const auto& line : lines) {
    text_width = std::max(text_width, lettering::count(line) * lettering::kWidth);
  }
  const int64_t top = kBorder * 3 / 2 + static_cast<int64_t>(lines.size()) * kLineHeight;
  draw::Canvas canvas(top + can.size(1) + kBorder,
                      std::max(2 * can.size(2) + 3 * kBorder, text_width + 2 * kBorder));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    canvas.write(kBorder + static_cast<int64_t>(i) * kLineHeight, kBorder, lines[i]);
  }
  canvas.paint(top, kBorder, can);
  canvas.paint(top, 2 * kBorder + can.size(2), does);
  canvas.save(options.out);
}

int draw_field(const FieldOptions& options) {
  convkit::models::Network network = make_network(options.network);
  const Photograph photograph = prepare(options.photograph, options.network.model);
  const auto summary = convkit::summarize(*network, photograph.input);
  const draw::Flow flow = draw::flow_of(*network, photograph.input);
  const convkit::SummaryRow& row = row_of(summary, flow, options);
  const auto place = place_of(options, row.output_sizes[0]);
  const torch::Tensor weights = effective(flow, options.layer, row.output_sizes[0], place);
  draw_picture(options, photograph.pixels, row, place, weights);
  return 0;
}

}  // namespace

void add_draw_field(CLI::App& draw, Command& chosen) {
  CLI::App* command = draw.add_subcommand(
      "field", "What one place of a layer's output sees of a photograph: its receptive field");
  command->footer(
      "convkit draw field resnet18 --weights resnet18-f37072fd.pth --layer layer2 --image "
      "photo.jpg -o field.png");
  const auto options = std::make_shared<FieldOptions>();
  add_network_flags(*command, options->network);
  add_photograph_flags(*command, options->photograph);
  command
      ->add_option("--layer", options->layer,
                   "The path of a module, as `convkit summary --json` has it")
      ->required();
  command
      ->add_option("--place", options->place,
                   "Y,X: the row and the column of the output; without it the middle")
      ->delimiter(',')
      ->expected(2)
      ->check(CLI::Range(int64_t{0}, int64_t{1'000'000}));
  command->add_option("-o,--output", options->out, "The PNG to write; replaced when whole")
      ->required();
  command->callback([=, &chosen] { chosen = [=] { return draw_field(*options); }; });
}

}  // namespace tool
