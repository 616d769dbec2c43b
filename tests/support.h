#pragma once

#include <convkit/state_dict.h>

#include <torch/nn/module.h>
#include <torch/types.h>

#include <c10/util/Exception.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <string>
#include <vector>

/// What several test files share.
namespace support {

inline std::vector<std::string> keys(const torch::nn::Module& module) {
  return convkit::state_dict(module).keys();
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
      for (const auto& entry : convkit::state_dict(*module)) {
        INFO(entry.key());
        CHECK(entry.value().scalar_type() ==
              (entry.key().ends_with("num_batches_tracked") ? torch::kLong : dtype));
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
