// convkit inspect FILE: what a checkpoint holds.
#include "../cli.h"
#include "commands.h"
#include "identify.h"
#include "load.h"

#include <convkit/checkpoint.h>

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

namespace tool {
namespace {

using convkit::Checkpoint;
using convkit::StateDict;
using nlohmann::ordered_json;

std::string dtype(const torch::Tensor& tensor) {
  return std::string(c10::getDtypeNames(tensor.scalar_type()).first);
}

struct Totals {
  explicit Totals(const StateDict& state) : tensors(static_cast<int64_t>(state.size())) {
    for (const auto& entry : state) {
      elements += entry.value().numel();
      bytes += static_cast<int64_t>(entry.value().nbytes());
    }
  }
  int64_t tensors;
  int64_t elements = 0;
  int64_t bytes = 0;
};

/// The network that the one state_dict among all tensors of the file belongs to, if there is one; the
/// prefix is that of the names which inspect shows.
std::optional<Identity> network_of(const std::string& file, const std::string& at,
                                   const StateDict& all) {
  try {
    const StateDict state = convkit::load_checkpoint(file, {.at = at}).state;
    std::optional<Identity> network = identify(state);
    if (!network) return std::nullopt;
    const std::string& key = state[0].key();
    const auto shown = std::ranges::find_if(
        all, [&](const auto& entry) { return ("." + entry.key()).ends_with("." + key); });
    if (shown != all.end()) {
      network->prefix.insert(0, shown->key().substr(0, shown->key().size() - key.size()));
    }
    return network;
  } catch (const convkit::CheckpointError&) {
    return std::nullopt;
  }
}

ordered_json json_of(const Identity& identity) {
  ordered_json result = {{"name", identity.network}, {"prefix", identity.prefix}};
  if (identity.num_classes) result["num_classes"] = *identity.num_classes;
  return result;
}

/// "resnet18 with 10 classes, under module."
std::string text_of(const Identity& identity) {
  std::string text = identity.network;
  if (identity.num_classes) text += fmt::format(" with num_classes {}", *identity.num_classes);
  if (!identity.prefix.empty()) text += " under " + cli::printable(identity.prefix);
  return text;
}

void print_json(const std::string& file, const Checkpoint& checkpoint,
                const std::optional<Identity>& network) {
  const Totals totals(checkpoint.state);
  ordered_json result = {{"file", file},
                         {"tensors", ordered_json::array()},
                         {"elements", totals.elements},
                         {"bytes", totals.bytes},
                         {"metadata", checkpoint.metadata}};
  for (const auto& entry : checkpoint.state) {
    const torch::Tensor& tensor = entry.value();
    result["tensors"].push_back({{"name", entry.key()},
                                 {"dtype", dtype(tensor)},
                                 {"shape", tensor.sizes().vec()},
                                 {"bytes", tensor.nbytes()}});
  }
  if (network) result["network"] = json_of(*network);
  if (const std::string name = published_as(file); !name.empty()) result["named_as"] = name;
  fmt::print("{}\n", result.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

void print_text(const std::string& file, const Checkpoint& checkpoint,
                const std::optional<Identity>& network) {
  // A few long names do not move the columns of all others.
  constexpr std::size_t kWidest = 60;
  std::size_t name_width = 4;
  std::size_t dtype_width = 5;
  std::size_t shape_width = 5;
  for (const auto& entry : checkpoint.state) {
    name_width = std::max(name_width, std::min(cli::printable(entry.key()).size(), kWidest));
    dtype_width = std::max(dtype_width, dtype(entry.value()).size());
    shape_width = std::max(shape_width, std::min(c10::str(entry.value().sizes()).size(), kWidest));
  }
  if (!checkpoint.state.is_empty()) {
    fmt::print("{:{}}  {:{}}  {:{}}  {:>13}\n", "name", name_width, "dtype", dtype_width, "shape",
               shape_width, "bytes");
  }
  for (const auto& entry : checkpoint.state) {
    const torch::Tensor& tensor = entry.value();
    fmt::print("{:{}}  {:{}}  {:{}}  {:>13}\n", cli::printable(entry.key()), name_width,
               dtype(tensor), dtype_width, c10::str(tensor.sizes()), shape_width,
               cli::with_commas(static_cast<int64_t>(tensor.nbytes())));
  }
  const Totals totals(checkpoint.state);
  fmt::print("{}{}, {}, {}\n", checkpoint.state.is_empty() ? "" : "\n",
             cli::counted(totals.tensors, "tensor"), cli::counted(totals.elements, "element"),
             cli::counted(totals.bytes, "byte"));
  if (network) fmt::print("network: {}\n", text_of(*network));
  if (const std::string name = published_as(file); !name.empty()) {
    fmt::print("named as the published weights {}\n", name);
  }
  if (!checkpoint.metadata.empty()) fmt::print("\nmetadata\n");
  for (const auto& [key, value] : checkpoint.metadata) {
    fmt::print("  {}: {}\n", cli::printable(key), cli::printable(value));
  }
}

}  // namespace

void add_inspect(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand(
      "inspect",
      "Print all tensors of a checkpoint (name, dtype, shape, bytes), the network that they "
      "belong to, and the metadata");
  command->footer("convkit inspect weights.safetensors");
  const auto file = std::make_shared<std::string>();
  const auto at = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);
  command->add_option("FILE", *file, "The checkpoint")->required();
  command->add_option("--at", *at, "Only this member of a nested checkpoint, as in ema.model");
  command->add_flag("--json", *json, "Print JSON");
  command->callback([=, &chosen] {
    chosen = [=] {
      const Checkpoint checkpoint = load(*file, {.at = *at, .everything = at->empty()});
      const auto network = network_of(*file, *at, checkpoint.state);
      if (*json) {
        print_json(*file, checkpoint, network);
      } else {
        print_text(*file, checkpoint, network);
      }
      return 0;
    };
  });
}

}  // namespace tool
