// convkit compare MODEL RECORDING: whether a network computes what Python's did.
#include "../cli.h"
#include "commands.h"

#include <convkit/compare.h>
#include <convkit/compare_training.h>
#include <convkit/compile.h>
#include <convkit/image.h>
#include <convkit/models.h>
#include <convkit/presets.h>
#include <convkit/state_dict.h>

#include <ATen/Parallel.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tool {
namespace {

struct CompareFlags {
  std::string model;
  std::string recording;
  int64_t num_classes = 0;
  double tolerance = 0;
  std::string image;
  std::string preset;
  bool compiled = false;
  bool all = false;
  bool json = false;
};

/// How the compiled network's result differs from the recorded one.
struct Compiled {
  convkit::Difference difference;
  double tolerance = 0;
  std::string engine;

  [[nodiscard]] bool is_within() const {
    const bool compared = difference.explanation.empty() && difference.alive;
    return compared && difference.relative_to_scale <= tolerance;
  }
};

/// How far float32 takes the plain network from what float64 gives: no other order of sums can be
/// expected to come nearer.
double rounding_error(convkit::models::Network& network, const torch::Tensor& x) {
  const torch::NoGradGuard no_grad;
  convkit::models::Network exact(network->clone());
  exact->to(torch::kDouble);
  const torch::Tensor expected = exact(x.to(torch::kDouble));
  return convkit::difference(network(x).to(torch::kDouble), expected).relative_to_scale;
}

Compiled compare_compiled(convkit::models::Network& network, const convkit::Recording& recording,
                          double tolerance) {
  convkit::load_state_dict(*network, recording.state_dict);  // a training step has changed it
  const bool one = !recording.calls.empty() && recording.calls.back().path.empty() &&
                   recording.calls.back().inputs.size() == 1 &&
                   recording.calls.back().outputs.size() == 1;  // the outermost module's ends last
  TORCH_CHECK(one, "compare: expected a recording of a network with one input and one output");
  const auto& call = recording.calls.back();
  const torch::Tensor& x = call.inputs[0].second;
  const auto fast = convkit::compile(network, x, {.timing = false});
  Compiled result;
  result.difference = convkit::difference(fast(x), call.outputs[0].second);
  result.tolerance = tolerance > 0 ? tolerance : std::max(1e-5, 4 * rounding_error(network, x));
  result.engine = convkit::explain(fast).plans.front().engine;
  return result;
}

std::string text_of(const Compiled& compiled) {
  const auto& found = compiled.difference;
  if (!found.explanation.empty() || !found.alive) {
    return fmt::format("compiled: different: {}\n",
                       found.alive ? found.explanation : "the expected numbers are all the same");
  }
  return fmt::format("compiled: {} {:.3g} of the largest number, up to {:.3g} of it ({})\n",
                     compiled.is_within() ? "within" : "different: not within", compiled.tolerance,
                     found.relative_to_scale, compiled.engine);
}

/// What runs all heads of a network; nothing where it has one.
convkit::ForwardFunction forward_of(convkit::models::Network& network) {
  if (dynamic_cast<convkit::models::MultiHead*>(network.get()) == nullptr) return nullptr;
  return [&network](const std::vector<torch::Tensor>& x) {
    TORCH_CHECK_VALUE(x.size() == 1, "compare: expected a recording with one input, got ",
                      x.size());
    return network.outputs(x[0]).values();
  };
}

/// How what C++ makes of an image differs from the input that Python recorded.
convkit::Difference compare_image(const CompareFlags& options,
                                  const convkit::Recording& recording) {
  TORCH_CHECK(!recording.calls.empty() && !recording.calls.back().inputs.empty(),
              "compare: expected a recording of a network with an input");
  const std::string preset = options.preset.empty() ? options.model : options.preset;
  const std::size_t colon = preset.find(':');
  const auto prepare = convkit::models::preset(
      preset.substr(0, colon), colon == std::string::npos ? "DEFAULT" : preset.substr(colon + 1));
  return convkit::difference(prepare(convkit::read_image(options.image)).unsqueeze(0),
                             recording.calls.back().inputs[0].second);
}

std::string text_of_image(const convkit::Difference& found) {
  if (found.equal) return "image: equal\n";
  return fmt::format("image: different: {}\n",
                     !found.explanation.empty() ? found.explanation
                                                : fmt::format("up to {:.3g} of the largest number",
                                                              found.relative_to_scale));
}

int compare(const CompareFlags& options) {
  const convkit::Recording recording = convkit::load_recording(options.recording);
  at::set_num_threads(static_cast<int>(recording.threads));
  torch::manual_seed(static_cast<uint64_t>(recording.seed));
  convkit::models::CreateOptions create;
  if (options.num_classes != 0) create.num_classes = options.num_classes;
  convkit::models::Network network = convkit::models::create(options.model, create);
  std::optional<convkit::Difference> image;
  if (!options.image.empty()) image = compare_image(options, recording);
  const convkit::CompareOptions how = {.tolerance = options.tolerance};
  const convkit::ForwardFunction forward = forward_of(network);
  const auto comparison = forward ? convkit::compare(*network, forward, recording, how)
                                  : convkit::compare(*network, recording, how);
  std::optional<convkit::TrainingComparison> training;
  if (recording.steps && comparison.keys.empty()) {
    training = forward ? convkit::compare_training(*network, forward, recording, how)
                       : convkit::compare_training(*network, recording, how);
  }
  std::optional<Compiled> compiled;
  if (options.compiled && comparison.keys.empty()) {
    compiled = compare_compiled(network, recording, options.tolerance);
  }
  if (options.json) {
    auto json = nlohmann::ordered_json::parse(comparison.json());
    if (compiled) {
      json["compiled"] = {{"within", compiled->is_within()},
                          {"tolerance", compiled->tolerance},
                          {"relative_to_scale", compiled->difference.relative_to_scale},
                          {"max_absolute", compiled->difference.max_absolute},
                          {"explanation", compiled->difference.explanation},
                          {"engine", compiled->engine}};
    }
    if (image) {
      json["image"] = {{"equal", image->equal},
                       {"max_absolute", image->max_absolute},
                       {"explanation", image->explanation}};
    }
    if (training) json["steps"] = nlohmann::ordered_json::parse(training->json());
    fmt::print("{}\n", json.dump(2));
  } else {
    fmt::print("{}{}{}{}", image ? text_of_image(*image) : "", comparison.text(options.all),
               training ? training->text() : "", compiled ? text_of(*compiled) : "");
  }
  const bool fits = !options.compiled || (compiled && compiled->is_within());
  const bool trains = !recording.steps || (training && training->equal);
  return comparison.equal && fits && trains && (!image || image->equal) ? 0 : 1;
}

}  // namespace

void add_compare(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand(
      "compare",
      "Compare a network with what record.py recorded of Python's, layer by layer, bit for bit.\n"
      "Exit code: 0 if all is equal, 1 if something differs");
  command->footer("convkit compare resnet18 resnet18.safetensors");
  const auto options = std::make_shared<CompareFlags>();
  command->add_option("MODEL", options->model, "A name that `convkit models` lists")->required();
  command->add_option("RECORDING", options->recording, "A file of record.py")->required();
  command
      ->add_option("--num-classes", options->num_classes,
                   "Of the network, where it was recorded with another number than the default")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
  command
      ->add_option("--tolerance", options->tolerance,
                   "Let numbers differ by so much, relative to the largest of their tensor")
      ->check(CLI::NonNegativeNumber);
  CLI::Option* image = command->add_option(
      "--image", options->image, "Also compare what C++ makes of the image that was recorded");
  command
      ->add_option("--preset", options->preset,
                   "What the image was prepared for, NETWORK[:WEIGHTS]; by default MODEL")
      ->needs(image);
  command->add_flag(
      "--compiled", options->compiled,
      "Also compare what compile() makes of it: to 1e-5 of the largest number or, if "
      "larger, four times the plain network's distance from float64; or to --tolerance");
  command->add_flag("--all", options->all, "Show the rows that are equal, too");
  command->add_flag("--json", options->json, "Print everything as JSON");
  command->callback([=, &chosen] { chosen = [=] { return compare(*options); }; });
}

}  // namespace tool
