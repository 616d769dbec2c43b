#pragma once

#include <convkit/module.h>

#include <torch/nn/module.h>
#include <torch/types.h>

#include <c10/util/Exception.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <string>
#include <utility>
#include <vector>

/// What several test files share.
namespace support {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// The tensors in the order of Python's state_dict: parameters, buffers, then the children's.
inline NamedTensors state(const torch::nn::Module& module, const std::string& prefix = "") {
  NamedTensors result;
  for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
    result.emplace_back(prefix + parameter.key(), parameter.value());
  }
  const auto* ours = dynamic_cast<const convkit::TensorModule*>(&module);
  for (const auto& buffer : module.named_buffers(/*recurse=*/false)) {
    if (ours != nullptr && ours->non_persistent_buffers().contains(buffer.key())) continue;
    result.emplace_back(prefix + buffer.key(), buffer.value());
  }
  for (const auto& child : module.named_children()) {
    for (auto& entry : state(*child.value(), prefix + child.key() + ".")) {
      result.push_back(std::move(entry));
    }
  }
  return result;
}

inline std::vector<std::string> keys(const torch::nn::Module& module) {
  std::vector<std::string> result;
  for (const auto& [key, tensor] : state(module)) result.push_back(key);
  return result;
}

/// The message of the c10::Error that `f` throws, without the backtrace.
template <typename F>
std::string error(F f) {
  try {
    f();
  } catch (const c10::Error& thrown) {
    return thrown.what_without_backtrace();
  }
  return "no error";
}

/// The laws that hold for every module of ours; `x` is an input of its.
template <typename Holder>
void check_module_laws(Holder module, const torch::Tensor& x) {
  const torch::NoGradGuard no_grad;
  module->eval();
  const torch::Tensor y = module(x).clone();

  SECTION("a clone is equal, independent, and draws no random numbers") {
    module->parameters()[0].set_requires_grad(false);
    torch::manual_seed(3);
    const torch::Tensor expected_draw = torch::rand({4});
    torch::manual_seed(3);
    auto copy = std::dynamic_pointer_cast<typename Holder::ContainedType>(module->clone());
    REQUIRE(copy != nullptr);
    CHECK(torch::equal(torch::rand({4}), expected_draw));
    CHECK(keys(*copy) == keys(*module));
    CHECK_FALSE(copy->is_training());
    CHECK_FALSE(copy->parameters()[0].requires_grad());
    CHECK(copy->parameters()[1].requires_grad());
    CHECK(torch::equal(copy->forward(x), y));
    for (torch::Tensor& parameter : copy->parameters()) parameter.add_(1);
    CHECK_FALSE(torch::equal(copy->forward(x), y));
    CHECK(torch::equal(module(x), y));
  }

  SECTION("to(dtype) converts weights and output, and leaves integers alone") {
    for (const auto dtype : {torch::kDouble, torch::kHalf, torch::kBFloat16}) {
      module->to(dtype);
      for (const auto& [key, tensor] : state(*module)) {
        INFO(key);
        CHECK(tensor.scalar_type() ==
              (key.ends_with("num_batches_tracked") ? torch::kLong : dtype));
      }
      const torch::Tensor converted = module(x.to(dtype));
      CHECK(converted.scalar_type() == dtype);
      // Half has 11 bits, bfloat16 8: one part in 30 is twice what a few sums of 30 terms lose.
      CHECK((converted.to(torch::kFloat) - y).abs().max().item<float>() <
            y.abs().max().item<float>() / 30);
    }
    CHECK_THAT(error([&] { module->to(torch::kLong); }),
               Catch::Matchers::EndsWith(
                   ": expected to() with a floating point or complex dtype, got Long"));
  }

  SECTION("to(device) and train() reach every part") {
    module->to(torch::kCPU);
    module->train();
    for (const auto& part : module->modules()) CHECK(part->is_training());
    module->eval();
    for (const auto& part : module->modules()) CHECK_FALSE(part->is_training());
    CHECK(torch::equal(module(x), y));
  }
}

}  // namespace support
