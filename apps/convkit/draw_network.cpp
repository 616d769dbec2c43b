// convkit draw network MODEL: its modules as boxes in boxes, and what flows between them.
#include "../cli.h"
#include "commands.h"
#include "diagram.h"
#include "flow.h"
#include "load.h"
#include "network_picture.h"

#include <convkit/models.h>
#include <convkit/summary.h>

#include <algorithm>
#include <memory>

namespace tool {
namespace {

struct NetworkOptions {
  NetworkFlags network;
  std::vector<int64_t> input;
  int64_t depth = -1;
  std::string out;
};

/// The flow is that of any size, and its gradients need much memory for a large one.
torch::Tensor small_input(std::vector<int64_t> sizes) {
  constexpr int64_t kSide = 224;
  sizes[0] = 1;
  for (std::size_t i = sizes.size() - 2; i < sizes.size(); ++i) {
    sizes[i] = std::min(sizes[i], kSide);
  }
  return torch::zeros(sizes);
}

int draw_network(NetworkOptions options) {
  convkit::models::Network network = make_network(options.network);
  if (options.input.empty()) {
    options.input = convkit::models::describe(options.network.model).input;
  }
  const auto summary = convkit::summarize(*network, torch::zeros(options.input));
  const draw::Flow flow = draw::flow_of(*network, small_input(options.input));
  const draw::Item diagram = draw::diagram(summary, flow, options.depth);
  cli::write_file(options.out, draw::network_picture(options.network.model, summary, diagram));
  return 0;
}

}  // namespace

void add_draw_network(CLI::App& draw, Command& chosen) {
  CLI::App* command = draw.add_subcommand(
      "network", "The modules of a network, with sizes and costs, and what flows between them");
  command->footer("convkit draw network resnet18 --depth 2 -o resnet18.svg");
  const auto options = std::make_shared<NetworkOptions>();
  add_network_flags(*command, options->network);
  command
      ->add_option("--input", options->input,
                   "The size of its input: N,C,H,W, or N,C,T,H,W; without it that of Python's "
                   "weights")
      ->delimiter(',')
      ->expected(4, 5)
      ->check(CLI::Range(int64_t{1}, int64_t{100000}));
  command->add_option("--depth", options->depth, "How many levels to show")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
  command->add_option("-o,--output", options->out, "The SVG to write; replaced when whole")
      ->required();
  command->callback([=, &chosen] { chosen = [=] { return draw_network(*options); }; });
}

}  // namespace tool
