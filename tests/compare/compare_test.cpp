#include <convkit/blocks.h>
#include <convkit/compare.h>
#include <convkit/models.h>

#include "parity/reference.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/modules/upsampling.h>
#include <catch2/matchers/catch_matchers_vector.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <tuple>

using namespace convkit;
namespace nn = torch::nn;

namespace {

/// What is wrong with a Small. Each was seen in ports.
enum Break : int {
  kNothing,
  kEps,
  kPadding,
  kBiasDropped,
  kTransposedWeight,
  kSwappedLayers,
  kStatisticsNotLoaded,
  kAlignCorners,
  kGroups,
  kMissingActivation,
  kAlwaysTraining,
  kZeros,
  kStaleBuffer,
  kForgottenLayer,
  kWrongNonlinearity,
};

struct ShiftImpl : Block<ShiftImpl> {
  explicit ShiftImpl(bool stale) : stale(stale) { ShiftImpl::reset(); }
  void reset() override {
    bias = register_buffer("bias", torch::arange(8.0F).view({1, 8, 1, 1}));
    copy = bias.clone();  // of construction, whatever is loaded later
  }
  torch::Tensor forward(const torch::Tensor& x) override { return x + (stale ? copy : bias); }
  bool stale;
  torch::Tensor bias;
  torch::Tensor copy;
};
CONVKIT_MODULE(Shift);

struct ZerosImpl : Block<ZerosImpl> {
  void reset() override {}
  torch::Tensor forward(const torch::Tensor& x) override { return torch::zeros_like(x); }
};
CONVKIT_MODULE(Zeros);

struct TransposedLinearImpl : Block<TransposedLinearImpl> {
  TransposedLinearImpl() { TransposedLinearImpl::reset(); }
  void reset() override {
    weight = register_parameter("weight", torch::zeros({8, 8}));
    bias = register_parameter("bias", torch::zeros({8}));
  }
  torch::Tensor forward(const torch::Tensor& x) override { return torch::addmm(bias, x, weight); }
  torch::Tensor weight;
  torch::Tensor bias;
};
CONVKIT_MODULE(TransposedLinear);

struct AlwaysTrainingImpl : Block<AlwaysTrainingImpl> {
  AlwaysTrainingImpl() { AlwaysTrainingImpl::reset(); }
  void reset() override {
    weight = register_parameter("weight", torch::ones({8}));
    bias = register_parameter("bias", torch::zeros({8}));
    mean = register_buffer("running_mean", torch::zeros({8}));
    var = register_buffer("running_var", torch::ones({8}));
    register_buffer("num_batches_tracked", torch::tensor(0));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    return at::batch_norm(x, weight, bias, {}, {}, true, 0.1, 1e-3, false);
  }
  torch::Tensor weight, bias, mean, var;
};
CONVKIT_MODULE(AlwaysTraining);

/// Small of tests/parity/recorded.py, as one would write it here.
struct SmallImpl : Block<SmallImpl> {
  explicit SmallImpl(Break broken = kNothing) : broken(broken) { SmallImpl::reset(); }

  void reset() override {
    const auto conv = nn::Conv2dOptions(3, 8, 3).padding(broken == kPadding ? 0 : 1);
    stem =
        register_module("stem", nn::Conv2d(nn::Conv2dOptions(conv).bias(broken != kBiasDropped)));
    bn = register_module("bn", norm());
    relu = register_module("relu", activation());
    mix = register_module(
        "mix",
        Sequential{
            nn::Conv2d(nn::Conv2dOptions(8, 8, 3).padding(1).groups(broken == kGroups ? 4 : 2)),
            broken == kWrongNonlinearity ? make_activation({Activation::kSiLU})
                                         : Hardswish(true).ptr()});
    up = register_module("up", nn::Upsample(nn::UpsampleOptions()
                                                .scale_factor(std::vector<double>{2, 2})
                                                .mode(torch::kBilinear)
                                                .align_corners(broken == kAlignCorners)));
    shift = register_module("shift", Shift(broken == kStaleBuffer));
    if (broken == kTransposedWeight) {
      proj = register_module("proj", TransposedLinear().ptr());
    } else {
      proj = register_module("proj", nn::Linear(8, 8).ptr());
    }
  }

  torch::Tensor forward(const torch::Tensor& image) override {
    torch::Tensor x = stem(image);
    if (broken == kSwappedLayers) {
      x = forward_child(*bn, forward_child(*relu, x));
    } else {
      x = forward_child(*bn, x);
      if (broken != kMissingActivation) x = forward_child(*relu, x);
    }
    if (broken != kForgottenLayer) x = mix(x);
    x = shift(up(forward_child(*relu, x)));
    return forward_child(*proj, x.mean({2, 3}));
  }

  std::shared_ptr<nn::Module> norm() const {
    if (broken == kAlwaysTraining) return AlwaysTraining().ptr();
    return nn::BatchNorm2d(nn::BatchNorm2dOptions(8)
                               .eps(broken == kEps ? 1e-5 : 1e-3)
                               .track_running_stats(broken != kStatisticsNotLoaded))
        .ptr();
  }
  std::shared_ptr<nn::Module> activation() const {
    if (broken == kZeros) return Zeros().ptr();
    return nn::ReLU(nn::ReLUOptions(true)).ptr();
  }

  Break broken;
  nn::Conv2d stem{nullptr};
  std::shared_ptr<nn::Module> bn;
  std::shared_ptr<nn::Module> relu;
  Sequential mix{nullptr};
  nn::Upsample up{nullptr};
  Shift shift{nullptr};
  std::shared_ptr<nn::Module> proj;
};
CONVKIT_MODULE(Small);

struct DeadImpl : Block<DeadImpl> {
  DeadImpl() { DeadImpl::reset(); }
  void reset() override {
    conv = register_module("conv", nn::Conv2d(nn::Conv2dOptions(3, 4, 1)));
    relu = register_module("relu", nn::ReLU());
  }
  torch::Tensor forward(const torch::Tensor& x) override { return relu(conv(x)); }
  nn::Conv2d conv{nullptr};
  nn::ReLU relu{nullptr};
};
CONVKIT_MODULE(Dead);

/// Calls torch::nn's modules by their own holders, and writes to what they give.
struct DirectImpl : Block<DirectImpl> {
  DirectImpl() { DirectImpl::reset(); }
  void reset() override {
    stem = register_module(
        "stem", nn::Conv2d(nn::Conv2dOptions(3, 4, 3).padding(1).padding_mode(torch::kReflect)));
    bn = register_module("bn", nn::BatchNorm2d(4));
    mix = register_module("mix", nn::Conv2d(nn::Conv2dOptions(4, 4, 3).padding(1)));
    act = register_module("act", nn::PReLU());
    up = register_module("up", nn::ConvTranspose2d(nn::ConvTranspose2dOptions(4, 4, 2).stride(2)));
    rows = register_module("rows", nn::Linear(4, 6));
    norm = register_module("norm", nn::LayerNorm(nn::LayerNormOptions({6})));
    fc = register_module("fc", nn::Linear(6, 5));
    last = register_module("last", nn::Linear(nn::LinearOptions(5, 5).bias(false)));
    seen = register_buffer("seen", torch::zeros({1}));
  }
  torch::Tensor forward(const torch::Tensor& image) override {
    seen += 1;
    torch::Tensor x = bn(stem(image)).relu_();
    x = act(mix(mix(x)));
    // This is no call of `mix`: its weight is used in another way.
    x = x + at::conv2d(x, mix->weight, {}, {1, 1}, {2, 2}, {2, 2});
    x = up(x).sigmoid_();
    x = norm(rows(x.flatten(2).transpose(1, 2)));
    x = last(fc(x.mean(1)));
    return (x + torch::rand({5})).matmul(last->weight);
  }
  nn::Conv2d stem{nullptr}, mix{nullptr};
  nn::BatchNorm2d bn{nullptr};
  nn::PReLU act{nullptr};
  nn::ConvTranspose2d up{nullptr};
  nn::Linear rows{nullptr}, fc{nullptr}, last{nullptr};
  nn::LayerNorm norm{nullptr};
  torch::Tensor seen;
};
CONVKIT_MODULE(Direct);

/// Makes words of an image's numbers, by two modules that share their weight.
struct WordsImpl : Block<WordsImpl> {
  WordsImpl() { WordsImpl::reset(); }
  void reset() override {
    embed = register_module("embed", nn::Embedding(10, 4));
    words = register_module("words", nn::Linear(nn::LinearOptions(4, 10).bias(false)));
    words->weight.set_data(embed->weight);
  }
  torch::Tensor forward(const torch::Tensor& x) override { return words(embed(x)); }
  nn::Embedding embed{nullptr};
  nn::Linear words{nullptr};
};
CONVKIT_MODULE(Words);

/// Calls a module that throws, and goes on with half of the image.
struct RetryingImpl : Block<RetryingImpl> {
  RetryingImpl() { RetryingImpl::reset(); }
  void reset() override { block = register_module("block", ConvBlock(3, 4)); }
  torch::Tensor forward(const torch::Tensor& x) override {
    try {
      return block(x);
    } catch (const c10::Error&) {
      return block(x.narrow(1, 0, 3));
    }
  }
  ConvBlock block{nullptr};
};
CONVKIT_MODULE(Retrying);

/// Gives its child a view whose elements share memory, or none.
struct WindowsImpl : Block<WindowsImpl> {
  WindowsImpl() { WindowsImpl::reset(); }
  void reset() override { relu = register_module("relu", nn::ReLU()); }
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor shared = forward_child(*relu, x.unfold(0, 3, 1));
    const torch::Tensor turned = forward_child(*relu, x.view({2, 3}).t());
    return torch::cat({shared.flatten(), turned.flatten()});
  }
  nn::ReLU relu{nullptr};
};
CONVKIT_MODULE(Windows);

struct MergeImpl : Cloneable<MergeImpl> {
  MergeImpl() { MergeImpl::reset(); }
  void reset() override { weight = register_parameter("weight", torch::ones({32})); }
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& context) {
    return x + weight * context * factor;
  }
  torch::Tensor weight;
  double factor = 1;
};
CONVKIT_MODULE(Merge);

using Tensors = std::vector<torch::Tensor>;

struct HeadsImpl : Cloneable<HeadsImpl> {
  HeadsImpl() { HeadsImpl::reset(); }
  void reset() override {
    probability = register_module("probability", nn::Linear(32, 2));
    boxes = register_module("boxes", nn::Linear(32, 4));
    points = register_module("points", nn::Linear(32, 10));
  }
  std::tuple<torch::Tensor, torch::Tensor, torch::Tensor> forward(const torch::Tensor& x) {
    return {probability(x).softmax(1), forward_child(*boxes, x) * factor, points(x)};
  }
  nn::Linear probability{nullptr}, boxes{nullptr}, points{nullptr};
  double factor = 1;
};
CONVKIT_MODULE(Heads);

/// Faces of tests/parity/recorded.py.
struct FacesImpl : Cloneable<FacesImpl> {
  explicit FacesImpl(bool ceil_mode = true) : ceil_mode(ceil_mode) { FacesImpl::reset(); }
  void reset() override {
    conv1 = register_module("conv1", nn::Conv2d(3, 8, 3));
    prelu1 = register_module("prelu1", nn::PReLU(nn::PReLUOptions().num_parameters(8)));
    pool = register_module("pool",
                           nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(2).ceil_mode(ceil_mode)));
    conv2 = register_module("conv2", nn::Conv2d(8, 16, 3));
    prelu2 = register_module("prelu2", nn::PReLU(nn::PReLUOptions().num_parameters(16)));
    dense = register_module("dense", nn::Linear(144, 32));
    merge = register_module("merge", Merge());
    heads = register_module("heads", Heads());
  }
  Tensors forward(const torch::Tensor& image, const torch::Tensor& context) {
    torch::Tensor x = pool(prelu1(conv1(image)));
    x = pool(prelu2(conv2(x)));
    x = forward_child(*dense, x.permute({0, 3, 2, 1}).flatten(1));
    const auto [probability, boxes, points] = heads(merge(x, context));
    return {probability, boxes, points};
  }
  bool ceil_mode;
  nn::Conv2d conv1{nullptr}, conv2{nullptr};
  nn::PReLU prelu1{nullptr}, prelu2{nullptr};
  nn::MaxPool2d pool{nullptr};
  nn::Linear dense{nullptr};
  Merge merge{nullptr};
  Heads heads{nullptr};
};
CONVKIT_MODULE(Faces);

ForwardFunction forward_of(Faces& faces) {
  return [&faces](const Tensors& x) { return faces(x.at(0), x.at(1)); };
}

std::vector<std::string> paths_of(const std::vector<Recording::Call>& calls) {
  std::vector<std::string> paths;
  for (const Recording::Call& call : calls)
    paths.push_back(call.path + "#" + std::to_string(call.index));
  return paths;
}

Recording recorded(const std::string& name) {
  return load_recording(parity::folder() / "recordings" / (name + ".safetensors"));
}

Comparison compared(Break broken) {
  const Recording recording = recorded("Small");
  torch::manual_seed(static_cast<uint64_t>(recording.seed));
  Small small(broken);
  return compare(*small, recording);
}

/// The first row of the layer of this path that differs.
const ComparisonRow& different_row(const Comparison& comparison, const std::string& path) {
  for (const ComparisonRow& row : comparison.layers) {
    if (row.path == path && row.status == ComparisonRow::kDifferent) return row;
  }
  FAIL("no row of " << path << " differs");
  return comparison.layers.front();
}

/// Computes with one thread, as record.py does, until the end of the scope.
struct OneThread {
  OneThread() { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before); }
  int before = at::get_num_threads();
};

}  // namespace

TEST_CASE("a faithful port is equal, layer by layer and as a whole", "[compare]") {
  const OneThread one;
  const Comparison comparison = compared(kNothing);
  INFO(comparison.text(true));
  CHECK(comparison.equal);
  CHECK_FALSE(comparison.first_difference);
  CHECK(comparison.layers.size() == 11);
  for (const ComparisonRow& row : comparison.layers) {
    INFO(row.path);
    CHECK(row.status == ComparisonRow::kEqual);
  }
  CHECK(comparison.training.size() == 14);
  CHECK(comparison.initialisation.empty());
  CHECK(comparison.notes.empty());
  CHECK_THAT(comparison.text(), Catch::Matchers::EndsWith("\nequal\n"));
}

TEST_CASE("a test of a port is one line, and says what differs", "[compare]") {
  const OneThread one;
  Small small;
  CHECK(compare(*small, recorded("Small")));
  Small broken(kEps);
  const Comparison comparison = compare(*broken, recorded("Small"));
  CHECK_FALSE(comparison);
  CHECK(Catch::Detail::stringify(comparison) == comparison.text());
}

TEST_CASE("every broken port is found, and the wrong layer named", "[compare]") {
  const OneThread one;
  enum Where : int { kKeys, kNumbers, kRow, kEndToEnd };
  struct Expected {
    Break broken;
    const char* first;
    Where where;
    const char* said;
  };
  const std::vector<Expected> table = {
      {kEps, "bn", kNumbers, "BatchNorm2d"},
      {kPadding, "stem", kRow, "ours is Float [2, 8, 13, 9], expected Float [2, 8, 15, 11]"},
      {kBiasDropped, "stem", kKeys, "stem.bias: is in the recording alone"},
      {kTransposedWeight, "proj", kNumbers, "Linear"},
      {kSwappedLayers, "", kEndToEnd, "the first module that is given another input is relu#0"},
      {kStatisticsNotLoaded, "bn", kKeys, "bn.running_mean: is in the recording alone"},
      {kAlignCorners, "up", kNumbers, "Upsample"},
      {kGroups, "mix.0", kKeys, "mix.0.weight: has the shape [8, 2, 3, 3], recorded [8, 4, 3, 3]"},
      {kMissingActivation, "", kEndToEnd,
       "the first module that is given another input is mix.0#0"},
      {kAlwaysTraining, "bn", kNumbers, "BatchNorm2d"},
      {kZeros, "relu", kNumbers, "ReLU"},
      {kStaleBuffer, "shift", kNumbers, "Shift"},
      {kForgottenLayer, "", kEndToEnd, "the first module that is given another input is relu#1"},
      {kWrongNonlinearity, "mix.1", kNumbers, "Hardswish"},
  };
  for (const Expected& expected : table) {
    const Comparison comparison = compared(expected.broken);
    const std::string text = comparison.text();
    INFO(text);
    CHECK_FALSE(comparison.equal);
    CHECK(comparison.first_difference == expected.first);
    CHECK_THAT(text, Catch::Matchers::ContainsSubstring(expected.said));
    CHECK(nlohmann::json::parse(comparison.json()).at("first_difference") == expected.first);
    if (expected.where == kKeys) {
      CHECK_THAT(comparison.keys, Catch::Matchers::VectorContains(std::string(expected.said)));
    } else if (expected.where == kEndToEnd) {
      CHECK(comparison.end_to_end.at(0).status == ComparisonRow::kDifferent);
      CHECK_THAT(comparison.end_to_end.at(0).reason, Catch::Matchers::EndsWith(expected.said));
    } else if (expected.where == kRow) {
      CHECK(different_row(comparison, expected.first).reason == expected.said);
    } else {
      const ComparisonRow& row = different_row(comparison, expected.first);
      CHECK(row.type == expected.said);
      CHECK(row.difference.max_absolute > 0);
      CHECK_THAT(text, Catch::Matchers::ContainsSubstring(" different: up to "));
    }
  }
}

TEST_CASE("outputs that are all the same number prove nothing", "[compare]") {
  const OneThread one;
  Dead dead;
  const Comparison comparison = compare(*dead, recorded("Dead"));
  INFO(comparison.text(true));
  CHECK_FALSE(comparison.equal);
  CHECK_FALSE(comparison.first_difference);
  CHECK(comparison.end_to_end.at(0).status == ComparisonRow::kDead);
  CHECK_THAT(comparison.text(), Catch::Matchers::EndsWith("nothing is proven\n"));
}

TEST_CASE("a comparison says why bits may differ", "[compare]") {
  const OneThread one;
  Recording recording = recorded("Small");
  recording.torch = "1.0.0";
  recording.threads = 64;
  recording.cpu = "ABACUS";
  Small small;
  const Comparison comparison = compare(*small, recording);
  REQUIRE(comparison.notes.size() == 3);
  CHECK_THAT(comparison.notes[0], Catch::Matchers::StartsWith("recorded with torch 1.0.0, "));
  CHECK_THAT(comparison.notes[1], Catch::Matchers::StartsWith("recorded with 64 thread(s), "));
  CHECK_THAT(comparison.notes[2], Catch::Matchers::StartsWith("recorded with ABACUS instruct"));
}

TEST_CASE("a tolerance is relative to the largest number", "[compare]") {
  const OneThread one;
  Recording recording = recorded("Small");
  recording.training.reset();  // the gradient of a bias before a batch norm is 0, but for rounding
  Small small(kEps);
  CHECK_FALSE(compare(*small, recording, {.tolerance = 1e-9}).equal);
  CHECK(compare(*small, recording, {.tolerance = 0.5}).equal);
  CHECK(support::error([&] { compare(*small, recording, {.tolerance = -1}); }) ==
        "compare: expected tolerance >= 0, got -1");
}

TEST_CASE("several inputs and outputs are recorded by their names", "[compare]") {
  const Recording recording = recorded("Several");
  const Recording::Call& whole = recording.calls.back();
  CHECK(whole.path.empty());
  REQUIRE(whole.inputs.size() == 2);
  REQUIRE(whole.outputs.size() == 2);
  CHECK(whole.outputs[0].first == "joined");
  CHECK(whole.outputs[1].first == "last");
}

TEST_CASE("a module of several inputs and outputs is compared through a forward", "[compare]") {
  const OneThread one;
  const Recording recording = recorded("Faces");
  torch::manual_seed(static_cast<uint64_t>(recording.seed));
  Faces faces;
  const Comparison comparison = compare(*faces, forward_of(faces), recording);
  INFO(comparison.text(true));
  CHECK(comparison.equal);
  CHECK(comparison.initialisation.empty());
  REQUIRE(comparison.end_to_end.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(comparison.end_to_end[i].output == std::to_string(i));
    CHECK(comparison.end_to_end[i].status == ComparisonRow::kEqual);
  }
  // The 11 calls that give one tensor, and the two that give three: of `heads` and of the whole.
  CHECK(comparison.layers.size() == 11 + 2 * 3);
  for (const ComparisonRow& row : comparison.layers) {
    INFO(row.path);
    CHECK(row.status == ComparisonRow::kEqual);
  }
  // Three outputs, the gradients of two inputs and of 15 parameters.
  CHECK(comparison.training.size() == 3 + 2 + 15);
  CHECK(comparison.training[4].output == "1");
  CHECK_THAT(comparison.text(), Catch::Matchers::ContainsSubstring("end to end: 3 of 3 equal\n"));
  CHECK_THAT(comparison.text(), Catch::Matchers::EndsWith("\nequal\n"));
  const auto json = nlohmann::json::parse(comparison.json());
  CHECK(json.at("end_to_end").size() == 3);
  CHECK(json.at("end_to_end").at(2).at("output") == "2");
}

TEST_CASE("a dict's outputs are compared by their names", "[compare]") {
  const OneThread one;
  const Recording recording = recorded("FacesByName");
  Faces faces;
  const std::map<std::string, std::size_t> places = {
      {"probability", 0}, {"boxes", 1}, {"points", 2}};
  const auto forward = [&](const Tensors& x) {
    Tensors outputs;
    for (const auto& [name, tensor] : recording.calls.back().outputs) {
      outputs.push_back(faces(x[0], x[1])[places.at(name)]);
    }
    return outputs;
  };
  const Comparison comparison = compare(*faces, forward, recording);
  INFO(comparison.text(true));
  CHECK(comparison.equal);
  const auto is_boxes = [](const ComparisonRow& row) { return row.output == "boxes"; };
  CHECK(std::ranges::count_if(comparison.end_to_end, is_boxes) == 1);
}

TEST_CASE("an output that differs is named", "[compare]") {
  const OneThread one;
  Recording recording = recorded("Faces");
  Faces faces;
  const ForwardFunction forward = forward_of(faces);
  const auto text = [&](const ForwardFunction& broken) {
    const Comparison comparison = compare(*faces, broken, recording);
    CHECK_FALSE(comparison.equal);
    CHECK(comparison.first_difference == "");
    return comparison.text();
  };
  using Catch::Matchers::ContainsSubstring;

  const Comparison wrong = compare(
      *faces,
      [&](const Tensors& x) {
        Tensors y = forward(x);
        y[1] = y[1] * 1.5;
        return y;
      },
      recording);
  INFO(wrong.text());
  CHECK(wrong.end_to_end[0].status == ComparisonRow::kEqual);
  CHECK(wrong.end_to_end[1].status == ComparisonRow::kDifferent);
  CHECK(wrong.end_to_end[2].status == ComparisonRow::kEqual);
  CHECK_THAT(wrong.text(), ContainsSubstring("end to end: 2 of 3 equal, 1 different\n"));
  CHECK_THAT(wrong.text(), ContainsSubstring("  (outermost)/1  Faces  different: up to "));
  CHECK(wrong.first_difference == "");

  const std::string swapped = text([&](const Tensors& x) {
    Tensors y = forward(x);
    std::swap(y[1], y[2]);
    return y;
  });
  CHECK_THAT(swapped, ContainsSubstring("ours is Float [2, 10], expected Float [2, 4]; it is what "
                                        "was recorded as \"2\"\n"));
  CHECK_THAT(text([&](const Tensors& x) {
               Tensors y = forward(x);
               y.pop_back();
               return y;
             }),
             ContainsSubstring("end to end: different: it gives 2 tensor(s), recorded are 3: "
                               "\"0\", \"1\", \"2\"\n"));
  CHECK_THAT(text([&](const Tensors& x) {
               Tensors y = forward(x);
               y[2] = torch::Tensor();
               return y;
             }),
             ContainsSubstring("different: it gives an undefined tensor\n"));
  CHECK_THAT(text([](const Tensors&) -> Tensors { TORCH_CHECK(false, "out of ink"); }),
             ContainsSubstring("end to end: different: it throws: out of ink\n"));

  Faces floor(false);
  const Comparison pooled = compare(*floor, forward_of(floor), recording);
  CHECK(pooled.first_difference == "pool");
  CHECK_THAT(
      different_row(pooled, "pool").reason,
      Catch::Matchers::StartsWith("ours is Float [2, 8, 8, 8], expected Float [2, 8, 9, 9]"));
}

TEST_CASE("what has several inputs or outputs is compared within the whole", "[compare]") {
  const OneThread one;
  const Recording recording = recorded("Faces");
  Faces faces;
  faces->merge->factor = 2;
  const Comparison merged = compare(*faces, forward_of(faces), recording);
  INFO(merged.text());
  CHECK(merged.first_difference == "merge");
  CHECK_THAT(merged.text(), Catch::Matchers::ContainsSubstring(
                                "  heads          Heads  not compared: it takes 1 "
                                "tensor(s) and gives 3, and here other ones than recorded\n"));
  CHECK_THAT(merged.end_to_end[0].reason,
             Catch::Matchers::EndsWith(
                 "the first module that is given another input is heads.probability#0"));

  faces->merge->factor = 1;
  faces->heads->factor = 2;
  const Comparison headed = compare(*faces, forward_of(faces), recording);
  CHECK(headed.first_difference == "heads");
  CHECK(different_row(headed, "heads").output == "1");
  CHECK_THAT(different_row(headed, "heads").reason,
             Catch::Matchers::EndsWith("what is in it is equal: its own forward differs"));
}

TEST_CASE("outputs with other names than Python's are not compared within the whole", "[compare]") {
  const OneThread one;
  Recording recording = recorded("Faces");
  for (Recording::Call& call : recording.calls) {
    if (call.path == "heads") call.outputs[2].first = "points";
  }
  Faces faces;
  const Comparison comparison = compare(*faces, forward_of(faces), recording);
  INFO(comparison.text());
  CHECK(comparison.equal);
  CHECK_THAT(comparison.text(), Catch::Matchers::ContainsSubstring(
                                    "  heads  Heads  not compared: it takes 1 tensor(s) "
                                    "and gives 3, with other names\n"));
  CHECK_THAT(comparison.text(), Catch::Matchers::EndsWith("\nequal, as far as it was compared\n"));
}

TEST_CASE("without a forward a comparison says what was compared, and what to do", "[compare]") {
  const OneThread one;
  const Recording recording = recorded("Faces");
  Faces faces;
  const Comparison comparison = compare(*faces, recording);
  const std::string text = comparison.text();
  INFO(text);
  CHECK_FALSE(comparison.equal);
  CHECK_FALSE(comparison.first_difference);
  const std::string advice =
      ": it takes 2 tensor(s) and gives 3; compare(module, forward, recording) runs it\n";
  using Catch::Matchers::ContainsSubstring;
  CHECK_THAT(text, ContainsSubstring("layers: 10 of 13 equal, 3 not compared\n"));
  CHECK_THAT(text, ContainsSubstring("end to end: not compared" + advice));
  CHECK_THAT(text, ContainsSubstring("training step  not compared" + advice));
  CHECK_THAT(text, Catch::Matchers::EndsWith(
                       "\nno layer differs, but the module as a whole was not compared\n"));
  CHECK(support::error([&] { compare(*faces, ForwardFunction(), recording); }) ==
        "compare: expected a forward, got an empty function");
  CHECK(support::error([&] { compare(*faces, forward_of(faces), recording, {.tolerance = -1}); }) ==
        "compare: expected tolerance >= 0, got -1");
}

TEST_CASE("an output that is dead proves nothing beside others", "[compare]") {
  const OneThread one;
  Recording recording = recorded("Faces");
  recording.training.reset();
  recording.calls.back().outputs[2].second.zero_();
  Faces faces;
  const ForwardFunction forward = forward_of(faces);
  const Comparison comparison = compare(
      *faces,
      [&](const Tensors& x) {
        Tensors y = forward(x);
        y[2].zero_();
        return y;
      },
      recording);
  CHECK_FALSE(comparison.equal);
  CHECK_FALSE(comparison.first_difference);
  CHECK_THAT(comparison.text(), Catch::Matchers::EndsWith("\nnothing is proven of 2\n"));
}

TEST_CASE("record() runs any module through a forward", "[compare]") {
  const OneThread one;
  torch::manual_seed(3);
  Faces faces;
  const Tensors inputs = {
      torch::randn({2, 3, 20, 20}).contiguous(torch::MemoryFormat::ChannelsLast),
      torch::randn({2, 32})};
  const Recording recording = record(*faces, forward_of(faces), inputs);
  CHECK(recording.memory_format == "channels_last");
  CHECK(paths_of(recording.calls) ==
        std::vector<std::string>{"conv1#0", "prelu1#0", "conv2#0", "prelu2#0", "dense#0", "merge#0",
                                 "heads.probability#0", "heads.boxes#0", "heads.points#0",
                                 "heads#0", "#0"});
  // Nobody can tell `pool(x)` from a function that pools.
  CHECK(recording.never_called == std::vector<std::string>{"pool"});
  REQUIRE(recording.calls.back().inputs.size() == 2);
  CHECK(torch::equal(recording.calls.back().inputs[1].second, inputs[1]));
  REQUIRE(recording.calls.back().outputs.size() == 3);

  // The order of the outputs stays, whatever their names and types.
  Recording renamed = recording;
  auto& outputs = renamed.calls.back().outputs;
  outputs.insert(outputs.begin(), {"", torch::arange(5)});
  const std::vector<std::string> names = {"z", "10", "9", "a/1"};
  for (std::size_t i = 0; i < names.size(); ++i) outputs[i].first = names[i];
  const auto path = std::filesystem::temp_directory_path() / "convkit-several.safetensors";
  save_recording(path, renamed);
  const Recording loaded = load_recording(path);
  std::filesystem::remove(path);
  REQUIRE(loaded.calls.back().outputs.size() == 4);
  for (std::size_t i = 0; i < names.size(); ++i) {
    CHECK(loaded.calls.back().outputs[i].first == names[i]);
  }
  Faces other;
  const auto forward = [&](const Tensors& x) {
    Tensors y = other(x[0], x[1]);
    y.insert(y.begin(), torch::arange(5));
    return y;
  };
  CHECK(compare(*other, forward, loaded));
  CHECK(support::error([&] { record(*faces, ForwardFunction(), inputs); }) ==
        "record: expected a forward, got an empty function");
  CHECK(support::error([&] { record(*faces, forward_of(faces), {inputs[0], torch::Tensor()}); }) ==
        "record: expected tensors as inputs, got an undefined one");
}

TEST_CASE("a list of more than ten tensors is read in its order", "[compare]") {
  const OneThread one;
  nn::ReLU relu;
  const auto forward = [&](const Tensors& x) {
    Tensors y;
    for (const torch::Tensor& tensor : x) y.push_back(relu(tensor));
    return y;
  };
  Tensors inputs;
  for (int64_t i = 0; i < 12; ++i) inputs.push_back(torch::randn({i + 2}));
  const auto path = std::filesystem::temp_directory_path() / "convkit-list.safetensors";
  save_recording(path, record(*relu, forward, inputs));
  const Recording loaded = load_recording(path);
  std::filesystem::remove(path);
  REQUIRE(loaded.calls.size() == 1);
  for (int64_t i = 0; i < 12; ++i) CHECK(loaded.calls[0].inputs[i].second.numel() == i + 2);
  CHECK(compare(*relu, forward, loaded));
}

TEST_CASE("record() writes what compare() finds equal", "[compare]") {
  const OneThread one;
  torch::manual_seed(4);
  Small small;
  small->train();
  small->bn->eval();
  small(torch::randn({4, 3, 9, 9}));
  const torch::Tensor x = torch::randn({2, 3, 15, 11});
  const auto before = state_dict(*small->clone());
  const Recording recording = record(*small, x);
  CHECK(small->is_training());
  CHECK_FALSE(small->bn->is_training());
  for (const auto& entry : state_dict(*small))
    CHECK(torch::equal(entry.value(), before[entry.key()]));

  const auto path = std::filesystem::temp_directory_path() / "convkit-record.safetensors";
  save_recording(path, recording);
  const Recording loaded = load_recording(path);
  std::filesystem::remove(path);
  CHECK(loaded.calls.size() == recording.calls.size());
  CHECK(loaded.classes.at("mix.1") == "Hardswish");
  Small other;
  const Comparison comparison = compare(*other, loaded);
  INFO(comparison.text(true));
  CHECK(comparison.equal);
  Small broken(kAlignCorners);
  CHECK_FALSE(compare(*broken, loaded).equal);
}

TEST_CASE("record() sees weighted leaves that are called directly", "[compare]") {
  const OneThread one;
  torch::manual_seed(5);
  Direct direct;
  const Recording recording = record(*direct, torch::randn({2, 3, 8, 6}));
  CHECK(paths_of(recording.calls) == std::vector<std::string>{"stem#0", "bn#0", "mix#0", "mix#1",
                                                              "act#0", "up#0", "rows#0", "norm#0",
                                                              "fc#0", "last#0", "#0"});
  CHECK(recording.never_called.empty());
  const torch::NoGradGuard no_grad;
  direct->eval();
  const auto parts = direct->named_modules("", /*include_self=*/false);
  for (const Recording::Call& call : recording.calls) {
    INFO(call.path);
    if (call.path.empty()) continue;
    REQUIRE(call.inputs.size() == 1);
    REQUIRE(call.outputs.size() == 1);
    const torch::Tensor y = forward_child(*parts[call.path], call.inputs[0].second);
    // LinearImpl rounds twice where Python's Linear, and forward_child(), do once.
    CHECK(torch::allclose(y, call.outputs[0].second, 1e-6, 1e-6));
    CHECK((call.path == "rows" || torch::equal(y, call.outputs[0].second)));
    CHECK(call.outputs[0].second.ne(0).all().item<bool>());
  }
  CHECK(recording.calls[0].inputs[0].second.sizes() == torch::IntArrayRef({2, 3, 8, 6}));
}

TEST_CASE("record() tells modules that share a weight by their operators", "[compare]") {
  Words words;
  const Recording recording = record(*words, torch::arange(8).view({2, 4}));
  CHECK(paths_of(recording.calls) == std::vector<std::string>{"embed#0", "words#0", "#0"});
  Words other;
  CHECK(compare(*other, recording).layers.size() == 3);
}

TEST_CASE("record() leaves the module and the random state as they were", "[compare]") {
  Direct direct;
  direct->train();
  direct->bn->eval();
  torch::manual_seed(6);
  const torch::Tensor expected = torch::rand({3});
  torch::manual_seed(6);
  record(*direct, torch::randn({1, 3, 4, 4}, at::detail::createCPUGenerator(1)));
  CHECK(torch::equal(torch::rand({3}), expected));
  CHECK(direct->seen.item<float>() == 0);
  CHECK(direct->is_training());
  CHECK_FALSE(direct->bn->is_training());
}

TEST_CASE("record() keeps calls apart from those that throw", "[compare]") {
  Retrying retrying;
  const torch::Tensor x = torch::randn({1, 5, 6, 6});
  const Recording recording = record(*retrying, x);
  CHECK(paths_of(recording.calls) ==
        std::vector<std::string>{"block.conv#0", "block.bn#0", "block#1", "#0"});
  CHECK(torch::equal(recording.calls.back().inputs[0].second, x));
}

TEST_CASE("the hash of a tensor is record.py's", "[compare]") {
  nn::Linear linear(700, 1001);  // of 2.8 MB
  nn::Linear half(nn::LinearOptions(3, 3).bias(false));
  half->to(torch::kHalf);
  for (const torch::Tensor& tensor : {linear->weight, half->weight}) {
    const bool large = tensor.is_same(linear->weight);
    const torch::Tensor bytes = tensor.detach().reshape({-1}).view(torch::kByte).to(torch::kLong);
    Recording recording;
    recording.fresh["weight"] =
        (bytes * (2 * torch::arange(bytes.numel()) + 1)).sum().item<int64_t>();
    nn::Module& module = large ? static_cast<nn::Module&>(*linear) : *half;
    CHECK(compare(module, recording).initialisation.empty());
    ++recording.fresh["weight"];
    CHECK(compare(module, recording).initialisation == std::vector<std::string>{"weight"});
  }
}

TEST_CASE("inputs whose elements share memory are recorded without their strides", "[compare]") {
  const OneThread one;
  Windows windows;
  const auto path = std::filesystem::temp_directory_path() / "convkit-layout.safetensors";
  save_recording(path, record(*windows, torch::randn({6})));
  const Recording loaded = load_recording(path);
  std::filesystem::remove(path);
  REQUIRE(loaded.calls.size() == 3);
  CHECK(loaded.calls[0].inputs[0].second.strides() == torch::IntArrayRef({3, 1}));
  CHECK(loaded.calls[1].inputs[0].second.strides() == torch::IntArrayRef({1, 3}));
  CHECK(compare(*windows, loaded).equal);
}

TEST_CASE("difference() counts what lies between two tensors", "[compare]") {
  const torch::Tensor expected = torch::tensor({{1.0F, -2.0F}, {0.0F, 4.0F}});
  CHECK(difference(expected.clone(), expected).equal);
  torch::Tensor ours = expected.clone();
  ours[1][1] = std::nextafter(4.0F, 5.0F);
  Difference found = difference(ours, expected);
  CHECK_FALSE(found.equal);
  CHECK(found.max_ulps == 1);
  CHECK(found.where == std::vector<int64_t>{1, 1});
  CHECK(found.equal_share == 0.75);
  CHECK(found.max_relative == found.relative_to_scale);

  ours = expected.clone();
  ours[1][0] = -0.0F;
  CHECK_FALSE(difference(ours, expected).equal);
  CHECK(difference(ours, expected).max_ulps == 0);
  ours[0][0] = NAN;
  CHECK(difference(ours, ours.clone()).equal);
  CHECK(std::isinf(difference(ours, expected).max_absolute));
  CHECK(difference(expected.to(torch::kDouble), expected).explanation ==
        "ours is Double [2, 2], expected Float [2, 2]");
  CHECK(difference(expected[0], expected).explanation ==
        "ours is Float [2], expected Float [2, 2]");
  CHECK_FALSE(difference(torch::ones({3}), torch::ones({3})).alive);
  CHECK(difference(torch::ones({1}), torch::ones({1})).alive);
  CHECK(difference(torch::ones({2, 0}), torch::ones({2, 0})).equal);
  for (const auto dtype : {torch::kHalf, torch::kBFloat16, torch::kDouble}) {
    const torch::Tensor one = torch::ones({2}, dtype);
    const torch::Tensor below = -torch::ones({2}, dtype);
    CHECK(difference(one, one.clone()).equal);
    CHECK(difference(one, below).max_ulps > 1000);
  }
  CHECK_FALSE(difference(torch::tensor({1, 2}), torch::tensor({1, 3})).equal);

  // A number that is not finite is no scale, and proves nothing.
  const torch::Tensor infinite = torch::tensor({1.0F, 2.0F, INFINITY});
  const torch::Tensor zeros = torch::tensor({1.0F, 2.0F, 0.0F});
  CHECK(std::isinf(difference(zeros, infinite).relative_to_scale));
  CHECK(std::isinf(difference(infinite, zeros).relative_to_scale));
  found = difference(torch::tensor({1.0F, 3.0F, INFINITY}), infinite);
  CHECK(found.where == std::vector<int64_t>{1});
  CHECK(found.max_absolute == 1);
  CHECK_FALSE(difference(torch::full({4}, NAN), torch::full({4}, NAN)).alive);
}

TEST_CASE("difference() takes tensors of every type", "[compare]") {
  const torch::Tensor real = torch::tensor({1.0, 2.0, 3.0});
  const torch::Tensor complex = at::complex(real, real);
  CHECK(difference(complex.clone(), complex).equal);
  CHECK(difference(complex.conj(), complex.conj().resolve_conj()).equal);
  CHECK(difference(complex, complex).alive);
  CHECK_FALSE(difference(at::complex(real[0], real[0]).expand({3}), complex[0].expand({3})).alive);
  CHECK(difference(complex[0].clone(), complex[0]).alive);
  const torch::Tensor imaginary = torch::tensor({1.0, 2.0, 3.5});
  Difference found = difference(at::complex(real, imaginary), complex);
  CHECK_FALSE(found.equal);
  CHECK(found.max_absolute == 0.5);
  CHECK(found.max_ulps > 0);
  CHECK(found.where == std::vector<int64_t>{2});
  CHECK(std::abs(found.equal_share - 2.0 / 3) < 1e-12);

  constexpr int64_t kLarge = int64_t{1} << 60;
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  const auto integer = [](int64_t value) { return torch::full({1}, value, torch::kLong); };
  CHECK(difference(integer(kLarge), integer(kLarge + 1)).max_absolute == 1);
  CHECK(difference(integer(kMin), integer(kMin + 1)).max_absolute == 1);
  CHECK(difference(integer(kMax), integer(kMin)).max_absolute == std::ldexp(1.0, 64));
  CHECK(difference(integer(kMax), integer(kMin)).max_ulps == 0);
  for (const auto dtype : {torch::kBool, torch::kByte, torch::kChar, torch::kShort, torch::kInt}) {
    found = difference(torch::tensor({1, 1}).to(dtype), torch::tensor({1, 0}).to(dtype));
    CHECK_FALSE(found.equal);
    CHECK(found.max_absolute == 1);
    CHECK(found.max_ulps == 0);
    CHECK(found.where == std::vector<int64_t>{1});
  }

  const torch::Tensor largest =
      torch::full({1}, std::numeric_limits<double>::max(), torch::kDouble);
  CHECK(difference(largest, -largest).max_ulps == kMax);
  CHECK(difference(-largest, largest).max_ulps == kMax);
  CHECK(difference(largest, torch::zeros({1}, torch::kDouble)).max_ulps == 0x7FEFFFFFFFFFFFFF);
  found = difference(torch::tensor({1.0F, NAN}), torch::zeros({2}));
  CHECK(std::isinf(found.max_relative));
}

TEST_CASE("values that are equal may differ in their bits", "[compare]") {
  const OneThread one;
  const auto text = [](float value) {
    nn::ReLU relu;
    Recording recording = record(*relu, torch::tensor({2.0F, value, 3.0F}));
    recording.calls.back().outputs[0].second[1].neg_();
    const Comparison comparison = compare(*relu, recording);
    CHECK_FALSE(comparison.equal);
    return comparison.text();
  };
  for (const float value : {-1.0F, std::numeric_limits<float>::quiet_NaN()}) {
    const std::string said = text(value);
    INFO(said);
    CHECK_THAT(said, Catch::Matchers::ContainsSubstring(
                         value < 0 ? "different: differs in the sign of a zero at [1]\n"
                                   : "different: differs in the bits of a NaN at [1]\n"));
    CHECK(said.find('%') == std::string::npos);
  }
}

TEST_CASE("a comparison shows no number that misleads", "[compare]") {
  Comparison comparison;
  ComparisonRow& row = comparison.end_to_end.emplace_back();
  row.status = ComparisonRow::kDifferent;
  const torch::Tensor expected = torch::arange(1.0F, 100001.0F);
  torch::Tensor ours = expected.clone();
  ours[3] = 5;
  row.difference = difference(ours, expected);
  CHECK_THAT(comparison.text(),
             Catch::Matchers::ContainsSubstring("different: up to 1 at [3], relative 0.25, "));
  CHECK_THAT(comparison.text(), Catch::Matchers::ContainsSubstring(" ULP, 99.999 % equal\n"));
  CHECK(nlohmann::json::parse(comparison.json()).at("end_to_end").at(0).at("max_absolute") == 1);

  row.difference.max_relative = -NAN;
  CHECK_THAT(comparison.text(), Catch::Matchers::ContainsSubstring("relative inf, "));
  row.difference = difference(torch::tensor(1.0F), torch::tensor(2.0F));
  CHECK_THAT(comparison.text(), Catch::Matchers::ContainsSubstring("up to 1, relative 0.5, "));

  row.difference = difference(ours.to(torch::kDouble), expected);
  const auto json = nlohmann::json::parse(comparison.json()).at("end_to_end").at(0);
  CHECK(json.at("status") == "different");
  CHECK(json.at("bits_equal") == false);
  for (const char* key :
       {"max_absolute", "max_relative", "relative_to_scale", "max_ulps", "equal_share", "where"}) {
    CHECK_FALSE(json.contains(key));
  }
}

TEST_CASE("weights that do not fit are the verdict", "[compare]") {
  const OneThread one;
  const std::string text = compared(kBiasDropped).text();
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring("the weights do not fit, and nothing was"));
  CHECK_THAT(text, Catch::Matchers::EndsWith("\nthe weights do not fit, first in stem\n"));
}

TEST_CASE("load_recording() refuses what is none", "[compare][errors]") {
  const auto path = (std::filesystem::temp_directory_path() / "convkit-none.safetensors").string();
  const auto error = [&](const StateDict& tensors, const std::string& description) {
    std::map<std::string, std::string> metadata;
    if (!description.empty()) metadata["recording"] = description;
    save_checkpoint(path, tensors, {.metadata = metadata});
    const std::string text = support::error([&] { load_recording(path); });
    const std::string begin = "load_recording: " + path + " is no recording of record.py: ";
    REQUIRE(text.starts_with(begin));
    return text.substr(begin.size());
  };
  const std::string good =
      R"({"version":1,"torch":"2","cpu":"A","memory_format":"contiguous","threads":1,"seed":0,)"
      R"("classes":{},"never_called":[],"fresh":{},"strides":{"input/s#0/0":[999999999]},"calls":)";
  StateDict tensors;
  CHECK(error(tensors, "") == "expected the metadata of a recording");
  CHECK(error(tensors, R"({"version":2})") == "expected version 1 of the format, got 2");
  CHECK(error(tensors, "{") == R"(expected a JSON object for its metadata, got "{")");
  CHECK(error(tensors, "[1]") == R"(expected a JSON object for its metadata, got "[1]")");
  CHECK(error(tensors, "{}") == "expected a whole number for version, got nothing");
  CHECK(error(tensors, R"({"version":"1"})") == R"(expected a whole number for version, got "1")");
  CHECK(error(tensors, R"({"version":1})") == "expected a text for torch, got nothing");
  CHECK(error(tensors, good + R"(["a"]})") == "expected calls like \"path#0\", got \"a\"");
  CHECK(error(tensors, good + R"(["a#0","a#0"]})") == "expected each call once, got \"a#0\" twice");
  CHECK(error(tensors, good + "[1]}") == "expected a list of texts for calls, got [1]");
  const auto with = [&](const std::string& old, const std::string& changed) {
    std::string text = good + "[]}";
    text.replace(text.find(old), old.size(), changed);
    return error(tensors, text);
  };
  CHECK(with("contiguous", "banana") ==
        R"(expected memory_format contiguous or channels_last, got "banana")");
  CHECK(with(R"("contiguous")", "null") == "expected a text for memory_format, got null");
  CHECK(with(R"("seed":0)", R"("seed":0.5)") == "expected a whole number for seed, got 0.5");
  CHECK(with(R"("classes":{})", R"("classes":[])") ==
        "expected an object of texts for classes, got []");
  CHECK(with(R"("classes":{})", R"("classes":{"a":1})") ==
        R"(expected an object of texts for classes, got {"a":1})");
  CHECK(with(R"("never_called":[])", R"("never_called":{})") ==
        "expected a list of texts for never_called, got {}");
  CHECK(with(R"("fresh":{})", R"("fresh":{"a":"b"})") ==
        R"(expected an object of whole numbers for fresh, got {"a":"b"})");
  CHECK(with("[999999999]", R"("1")") ==
        R"(expected an object of lists of whole numbers for strides, got {"input/s#0/0":"1"})");
  tensors.insert("input/b#0/0", torch::ones({1}));
  CHECK(error(tensors, good + R"(["a#0"]})") ==
        "expected tensors of the calls it lists, got \"input/b#0/0\"");
  tensors.clear();
  tensors.insert("input/s#0/0", torch::ones({2}));
  CHECK(error(tensors, good + R"(["s#0"]})") ==
        "expected strides of \"input/s#0/0\" for the sizes [2], got [999999999]");
  std::string overlapping = good + R"(["s#0"]})";
  overlapping.replace(overlapping.find(R"("input/s#0/0":[999999999])"), 25,
                      R"("input/s#0/0":[2,1])");
  tensors.clear();
  tensors.insert("input/s#0/0", torch::ones({3, 3}));
  CHECK(error(tensors, overlapping) ==
        "expected strides of \"input/s#0/0\" that give each of the sizes [3, 3] memory of its "
        "own, got [2, 1]");
  tensors.clear();
  std::string threads = good + "[]}";
  threads.replace(threads.find("\"threads\":1"), 11, "\"threads\":1000000000");
  CHECK(error(tensors, threads) == "expected 1 <= threads <= 1024, got 1000000000");
  tensors.insert("train/gradient/0", torch::ones({1}));
  CHECK(error(tensors, good + "[]}") ==
        "expected the outputs of the training step, whose gradients it has");
  tensors.clear();
  tensors.insert("other", torch::ones({1}));
  CHECK(error(tensors, good + "[]}") == "expected no tensor of the name \"other\"");
  std::filesystem::remove(path);
}
