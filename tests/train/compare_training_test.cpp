#include <convkit/compare_training.h>
#include <convkit/module.h>

#include "parity/reference.h"

#include <ATen/Parallel.h>
#include <ATen/ops/_unique.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>

using namespace convkit;
namespace nn = torch::nn;

namespace {

/// What is wrong with a Trained.
enum class Wrong { kNothing, kEps, kMomentum, kDropout, kLater };

/// Trained of tests/parity/recorded.py.
struct TrainedImpl : Block<TrainedImpl> {
  explicit TrainedImpl(Wrong wrong = Wrong::kNothing) : wrong(wrong) { TrainedImpl::reset(); }

  void reset() override {
    conv = register_module("conv", nn::Conv2d(nn::Conv2dOptions(3, 8, 3)));
    auto options = nn::BatchNorm2dOptions(8);
    if (wrong == Wrong::kEps) options.eps(1e-3);
    if (wrong == Wrong::kMomentum) options.momentum(0.01);
    bn = register_module("bn", nn::BatchNorm2d(options));
    drop = register_module("drop", nn::Dropout(wrong == Wrong::kDropout ? 0.2 : 0.25));
    head = register_module("head", nn::Conv2d(nn::Conv2dOptions(8, 4, 3)));
  }

  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor y = head(drop(bn(conv(x)).relu_()));
    ++calls;
    return wrong == Wrong::kLater && calls == 12 ? y * 1.001 : y;
  }

  Wrong wrong;
  int calls = 0;
  nn::Conv2d conv{nullptr};
  nn::BatchNorm2d bn{nullptr};
  nn::Dropout drop{nullptr};
  nn::Conv2d head{nullptr};
};
CONVKIT_MODULE(Trained);

Recording recorded(const std::string& name) {
  return load_recording((parity::folder() / "recordings" / (name + ".safetensors")).string());
}

TrainingComparison compared(Wrong wrong, const Recording& recording,
                            const CompareOptions& options = {}) {
  at::set_num_threads(1);
  Trained net(wrong);
  return compare_training(*net, recording, options);
}

}  // namespace

TEST_CASE("a training has Python's bits at every step", "[compare_training]") {
  for (const char* name : {"TrainedSGD", "TrainedAdamW", "TrainedAdagrad"}) {
    const Recording recording = recorded(name);
    const TrainingComparison comparison = compared(Wrong::kNothing, recording);
    CHECK(comparison.text() == "training: 25 of 25 steps equal\n");
    CHECK(comparison);
    const torch::Tensor& losses = recording.steps->losses;
    CHECK(losses[24].item<float>() < losses[0].item<float>());
    CHECK(std::get<0>(at::_unique(losses)).numel() == 25);
    CHECK(recording.steps->states.size() == 3);
    CHECK(recording.steps->hashes.size() == 9);
  }
  CHECK(compared(Wrong::kNothing, recorded("TrainedLast")).equal);
}

TEST_CASE("a port that trains otherwise is found in its step, with its tensor",
          "[compare_training]") {
  using Catch::Matchers::StartsWith;
  const Recording recording = recorded("TrainedSGD");
  const TrainingComparison eps = compared(Wrong::kEps, recording);
  CHECK_THAT(eps.text(), StartsWith("training: different, first in step 1: loss "));
  CHECK(eps.first_difference == "loss");
  CHECK(eps.measured_step == 10);
  CHECK(eps.measured.difference.max_absolute > 0);
  const TrainingComparison momentum = compared(Wrong::kMomentum, recording);
  CHECK_THAT(
      momentum.text(),
      StartsWith(
          "training: different, first in step 1: bn.running_mean; in step 10 bn.running_mean "
          "up to "));
  CHECK_FALSE(compared(Wrong::kDropout, recording).equal);
  const TrainingComparison later = compared(Wrong::kLater, recording);
  CHECK(later.first_step == 12);
  CHECK(later.measured_step == 20);
  const auto json = nlohmann::json::parse(later.json());
  CHECK(json.at("equal") == false);
  CHECK(json.at("first_step") == 12);
  CHECK(json.at("measured").at("path") == "conv.weight");

  Recording other = recording;
  other.steps->options.set("lr", 0.0501);
  const TrainingComparison rate = compared(Wrong::kNothing, other);
  CHECK(rate.first_step == 1);
  CHECK(rate.first_difference == "conv.weight");
  CHECK(compared(Wrong::kNothing, other, {.tolerance = 1}).equal);
  CHECK_FALSE(compared(Wrong::kNothing, other, {.tolerance = 1e-6}).equal);

  other = recording;
  other.steps->targets[6][0].second = torch::zeros({1});
  CHECK(compared(Wrong::kNothing, other).text() ==
        "training: different, first in step 7: it throws: expected an output of shape [1], got "
        "[4, 4, 6, 6]\n");
}

TEST_CASE("a recorded training is saved and loaded whole", "[compare_training]") {
  const auto path = (std::filesystem::temp_directory_path() / "convkit-steps.safetensors").string();
  save_recording(path, recorded("TrainedAdamW"));
  CHECK(compared(Wrong::kNothing, load_recording(path)).equal);
  std::filesystem::remove(path);
}

TEST_CASE("compare_training() and load_recording() refuse what is no training",
          "[compare_training]") {
  const Recording good = recorded("TrainedSGD");
  const auto refused = [&](auto change) {
    Recording recording = good;
    change(recording);
    return support::error([&] { compared(Wrong::kNothing, recording); });
  };
  CHECK(refused([](Recording& r) { r.steps.reset(); }) ==
        "compare_training: expected a recording with steps, got none; record.py --steps 50 records "
        "them");
  CHECK(refused([](Recording& r) { r.steps->inputs[0].emplace_back("1", torch::ones({1})); }) ==
        "compare_training: expected one input, got 2; compare_training(module, forward, recording) "
        "takes several");
  CHECK(refused([](Recording& r) { r.steps->optimizer = "Lion"; }) ==
        "make_optimizer: expected an optimizer of optim.h, got \"Lion\"");
  CHECK(refused([](Recording& r) { r.steps->options.set("rho", 1.0); }) ==
        "SGD: expected no option \"rho\"");
  CHECK(refused([](Recording& r) { r.steps->options.set("foreach", true); }) ==
        "SGD: expected no option \"foreach\"");
  CHECK(refused([](Recording& r) { r.steps->options.set("lr", -1.0); }) ==
        "SGD: expected lr >= 0, got -1");

  const auto path = (std::filesystem::temp_directory_path() / "convkit-steps.safetensors").string();
  const auto damaged = [&](auto change) {
    Recording recording = good;
    change(*recording.steps);
    save_recording(path, recording);
    const std::string text = support::error([&] { load_recording(path); });
    std::filesystem::remove(path);
    const std::string begin = "load_recording: " + path + " is no recording of record.py: ";
    REQUIRE(text.starts_with(begin));
    return text.substr(begin.size());
  };
  using Steps = Recording::Steps;
  CHECK(damaged([](Steps& s) { s.inputs[3].clear(); }) == "expected all inputs of step 4");
  CHECK(damaged([](Steps& s) { s.targets[24].clear(); }) == "expected all targets of step 25");
  CHECK(damaged([](Steps& s) { s.losses = s.losses.slice(0, 1); }) ==
        "expected steps/loss to have 25 numbers");
  CHECK(damaged([](Steps& s) { s.hashes.insert("more", torch::ones({25})); }) ==
        "expected \"steps/hash/more\" to have 25 whole numbers");
  CHECK(damaged([](Steps& s) { s.states.erase(25); }) ==
        "expected the weights after step 25, the last one");
  CHECK(damaged([](Steps& s) {
          s.states[26] = s.states[25];
        }).starts_with("expected a number from 1 to 25 in the name \"steps/state/26/"));
  CHECK(damaged([](Steps& s) {
          s.inputs.clear();
          s.targets.clear();
        }) == "expected a count from 1 to 100000, an optimizer and an object of options for steps");
}
