#include <convkit/convkit.h>

#include "support.h"

#include <ATen/Parallel.h>
#include <torch/optim/sgd.h>
#include <torch/serialize.h>
#include <torch/version.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>

namespace {

using namespace convkit;
using Tensors = std::vector<torch::Tensor>;

/// One case of tests/parity/generate.py, read by name.
class Case {
 public:
  explicit Case(const c10::IValue& dict) : dict_(dict.toGenericDict()) {}

  std::string text(const char* key) const { return dict_.at(key).toStringRef(); }
  int64_t number(const char* key) const { return dict_.at(key).toInt(); }
  torch::Tensor tensor(const char* key) const { return dict_.at(key).toTensor(); }
  Tensors tensors(const char* key) const {
    Tensors result;
    for (const c10::IValue& value : dict_.at(key).toListRef()) result.push_back(value.toTensor());
    return result;
  }
  std::vector<std::string> texts(const char* key) const {
    std::vector<std::string> result;
    for (const c10::IValue& value : dict_.at(key).toListRef()) {
      result.push_back(value.toStringRef());
    }
    return result;
  }

  bool has(const char* option) const { return options().contains(option); }
  int64_t option(const char* name) const { return options().at(name).toListRef().front().toInt(); }
  torch::ExpandingArray<2> pair(const char* name) const {
    const auto values = options().at(name).toListRef();
    return {values.front().toInt(), values.back().toInt()};
  }
  torch::nn::Conv2dOptions::padding_t padding() const {
    const c10::IValue value = options().at("padding");
    if (!value.isString()) return pair("padding");
    if (value.toStringRef() == "same") return torch::kSame;
    return torch::kValid;
  }

 private:
  c10::impl::GenericDict options() const { return dict_.at("options").toGenericDict(); }

  c10::impl::GenericDict dict_;
};

ConvBlock conv_block(const Case& given) {
  ConvBlockOptions options(given.option("in_channels"), given.option("out_channels"));
  if (given.has("kernel_size")) options.kernel_size(given.pair("kernel_size"));
  if (given.has("stride")) options.stride(given.pair("stride"));
  if (given.has("padding")) options.padding(given.padding());
  return ConvBlock(options);
}

SeparableConv2d separable_conv2d(const Case& given) {
  SeparableConv2dOptions options(given.option("in_channels"), given.option("out_channels"));
  if (given.has("kernel_size")) options.kernel_size(given.pair("kernel_size"));
  if (given.has("stride")) options.stride(given.pair("stride"));
  if (given.has("padding")) options.padding(given.padding());
  if (given.has("dilation")) options.dilation(given.pair("dilation"));
  if (given.has("depth_multiplier")) options.depth_multiplier(given.option("depth_multiplier"));
  if (given.has("depthwise_bias")) options.depthwise_bias(given.option("depthwise_bias") != 0);
  if (given.has("pointwise_bias")) options.pointwise_bias(given.option("pointwise_bias") != 0);
  return SeparableConv2d(options);
}

Upsampler upsampler(const Case& given) {
  UpsamplerOptions options(given.option("in_channels"), given.option("out_channels"));
  if (given.has("scale_factor")) options.scale_factor(given.option("scale_factor"));
  if (given.has("bias")) options.bias(given.option("bias") != 0);
  return Upsampler(options);
}

using Maker = std::function<std::shared_ptr<torch::nn::Module>(const Case&)>;

/// A maker of one of the functions of conv.h; an option that the case leaves out keeps its default.
template <typename F>
Maker two_channels(F make, const char* third = nullptr) {
  return [=](const Case& given) {
    const int64_t in_channels = given.option("in_channels");
    const int64_t out_channels = given.option("out_channels");
    if constexpr (std::is_invocable_v<F, int64_t, int64_t, int64_t>) {
      if (given.has(third)) return make(in_channels, out_channels, given.option(third)).ptr();
      return make(in_channels, out_channels, 2).ptr();
    } else {
      return make(in_channels, out_channels).ptr();
    }
  };
}

const std::map<std::string, Maker>& makers() {
  static const std::map<std::string, Maker> table = {
      {"standard_conv2d", two_channels(standard_conv2d)},
      {"strided_conv2d", two_channels(strided_conv2d, "stride")},
      {"dilated_conv2d", two_channels(dilated_conv2d, "dilation")},
      {"depthwise_conv2d",
       [](const Case& given) { return depthwise_conv2d(given.option("channels")).ptr(); }},
      {"pointwise_conv2d", two_channels(pointwise_conv2d)},
      {"ConvBlock", [](const Case& given) { return conv_block(given).ptr(); }},
      {"SeparableConv2d", [](const Case& given) { return separable_conv2d(given).ptr(); }},
      {"Upsampler", [](const Case& given) { return upsampler(given).ptr(); }},
  };
  return table;
}

c10::ScalarType dtype_of(const std::string& name) {
  if (name == "float64") return torch::kDouble;
  if (name == "bfloat16") return torch::kBFloat16;
  REQUIRE(name == "float32");
  return torch::kFloat;
}

void check_equal(const std::string& what, const torch::Tensor& ours, const torch::Tensor& python) {
  INFO(what << " " << python.sizes());
  REQUIRE(ours.scalar_type() == python.scalar_type());
  REQUIRE(ours.sizes() == python.sizes());
  if (torch::equal(ours, python)) {
    SUCCEED();
    return;
  }
  const torch::Tensor difference = (ours.to(torch::kDouble) - python.to(torch::kDouble)).abs();
  FAIL_CHECK("differs from Python's by up to " << difference.max().item<double>() << " in "
                                               << difference.count_nonzero().item<int64_t>()
                                               << " of " << difference.numel() << " elements");
}

/// What a module computes proves nothing when it is constant.
void check_alive(const std::string& what, const torch::Tensor& python) {
  INFO(what << " " << python.sizes());
  REQUIRE((python.numel() == 1 || python.min().item<double>() < python.max().item<double>()));
}

void check_state(const std::string& what, const torch::nn::Module& module, const Case& given,
                 const char* key) {
  const auto ours = support::state(module);
  const Tensors python = given.tensors(key);
  REQUIRE(ours.size() == python.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    check_equal(what + " " + ours[i].first, ours[i].second, python[i]);
  }
}

void load(const torch::nn::Module& module, const Tensors& values) {
  const torch::NoGradGuard no_grad;
  auto ours = support::state(module);
  REQUIRE(ours.size() == values.size());
  for (std::size_t i = 0; i < ours.size(); ++i) ours[i].second.copy_(values[i]);
}

void check_inference(torch::nn::Module& module, const Case& given) {
  const torch::NoGradGuard no_grad;
  module.eval();
  check_alive("eval output", given.tensor("eval_output"));
  check_equal("eval output", forward_child(module, given.tensor("input")),
              given.tensor("eval_output"));
}

void check_training_step(torch::nn::Module& module, const Case& given) {
  module.train();
  const torch::Tensor x = given.tensor("input").detach().requires_grad_();
  const torch::Tensor y = forward_child(module, x);
  check_alive("train output", given.tensor("train_output"));
  check_equal("train output", y, given.tensor("train_output"));

  y.backward(given.tensor("gradient"));
  check_alive("input gradient", given.tensor("input_gradient"));
  check_equal("input gradient", x.grad(), given.tensor("input_gradient"));
  const Tensors gradients = given.tensors("parameter_gradients");
  const auto parameters = module.named_parameters();
  REQUIRE(parameters.size() == gradients.size());
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    check_alive("gradient of " + parameters[i].key(), gradients[i]);
    check_equal("gradient of " + parameters[i].key(), parameters[i].value().grad(), gradients[i]);
  }
  check_state("after one training forward:", module, given, "trained_once");
}

void check_sgd(torch::nn::Module& module, const Case& given) {
  torch::optim::SGD optimizer(module.parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  const torch::Tensor x = given.tensor("input");
  for (int step = 0; step < 5; ++step) {
    optimizer.zero_grad();
    (forward_child(module, x) * given.tensor("gradient")).mean().backward();
    optimizer.step();
  }
  check_state("after five steps of SGD:", module, given, "after_sgd");
}

void check_case(const Case& given) {
  torch::manual_seed(static_cast<uint64_t>(given.number("seed")));
  const auto module = makers().at(given.text("module"))(given);
  REQUIRE(support::keys(*module) == given.texts("keys"));
  check_state("initial", *module, given, "initial");
  module->to(dtype_of(given.text("dtype")));
  load(*module, given.tensors("state"));
  check_inference(*module, given);
  check_training_step(*module, given);
  // In bfloat16 LibTorch's optimizer rounds the momentum itself to bfloat16, which Python's does
  // not.
  if (given.text("dtype") != "bfloat16") check_sgd(*module, given);
}

}  // namespace

TEST_CASE("every module is equal to Python's, bit for bit", "[parity]") {
  const char* path = std::getenv("CONVKIT_PARITY_REFERENCE");
  std::ifstream file(path == nullptr ? "" : path, std::ios::binary);
  if (!file) SKIP("no reference values: no Python has the LibTorch in use");
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto reference = torch::pickle_load(bytes).toGenericDict();
  const std::string version = reference.at("torch").toStringRef();
  INFO("Python's torch " << version << ", LibTorch " << TORCH_VERSION);
  REQUIRE(version.starts_with(TORCH_VERSION));

  const auto cases = reference.at("cases").toListRef();
  CHECK(cases.size() >= 100);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);  // as the generator's: another number of threads splits sums differently
  std::map<std::string, int> counts;
  for (const c10::IValue& value : cases) {
    const Case given(value);
    INFO(given.text("name"));
    check_case(given);
    ++counts[given.text("module")];
  }
  at::set_num_threads(threads);
  CHECK(counts.size() == makers().size());
}
