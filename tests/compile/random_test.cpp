#include <convkit/activation.h>
#include <convkit/compile.h>
#include <convkit/module.h>

#include "compile/compile_support.h"

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace convkit;
using torch::Tensor;

/// A module that a seed makes up: some thirty operators on the values before, with branches, views,
/// writes in place, layers used twice.
struct RandomNetImpl : Block<RandomNetImpl> {
  RandomNetImpl(uint32_t seed, Tensor example) : random_(seed), example_(std::move(example)) {
    RandomNetImpl::reset();
  }

  void reset() override {
    const torch::NoGradGuard no_grad;
    std::vector<Tensor> values{example_.clone()};
    while (steps_.size() < 30) add_step(values);
  }

  Tensor forward(const Tensor& x) override { return run(x).back(); }

  /// All values that nothing else uses, and some that are used.
  std::vector<Tensor> run(const Tensor& x) {
    std::vector<Tensor> values{x};
    for (const Step& step : steps_) values.push_back(step(values));
    return {values.at(values.size() - 5), values.at(values.size() - 2), values.back()};
  }

  std::string text;  ///< of the steps

 private:
  using Step = std::function<Tensor(const std::vector<Tensor>&)>;

  int64_t pick(int64_t count) {
    return static_cast<int64_t>(random_() % static_cast<uint32_t>(count));
  }

  template <typename Holder>
  Holder keep(Holder module) {
    module->eval();
    return register_module(std::to_string(children().size()), std::move(module));
  }

  void add(std::vector<Tensor>& values, const std::string& name, const Step& step) {
    values.push_back(step(values));
    steps_.push_back(step);
    text += name + "; ";
  }

  void add_step(std::vector<Tensor>& values) {
    const auto a = static_cast<std::size_t>(pick(3) == 0 ? pick(static_cast<int64_t>(values.size()))
                                                         : static_cast<int64_t>(values.size()) - 1);
    const std::string at = "(" + std::to_string(a) + ")";
    const Tensor x = values[a];
    if (x.dim() != 4) return;
    const int64_t channels = x.size(1);
    const bool small = x.size(2) < 4 || x.size(3) < 4;
    const bool writable = !x.is_alias_of(values[0]);
    switch (pick(17)) {
      case 0:
      case 1:
      case 2: {
        const int64_t kernel = pick(2) == 0 || small ? 1 : 3;
        const bool depthwise = pick(3) == 0;
        torch::nn::Conv2dOptions options(channels, depthwise ? channels : 4 * (1 + pick(4)),
                                         kernel);
        options.padding(kernel / 2).stride(small ? 1 : 1 + pick(2)).bias(pick(2) == 0);
        if (depthwise) options.groups(channels);
        auto conv = keep(torch::nn::Conv2d(options));
        const bool twice =
            pick(4) == 0 && conv->options.in_channels() == conv->options.out_channels();
        return add(values, (twice ? "conv twice" : "conv") + at,
                   [=](const auto& v) mutable { return twice ? conv(conv(v[a])) : conv(v[a]); });
      }
      case 3:
      case 4: {
        auto norm = keep(torch::nn::BatchNorm2d(channels));
        norm->running_mean.normal_(0, 0.2);
        norm->running_var.uniform_(0.5, 1.5);
        norm->weight.uniform_(0.5, 1.5);
        return add(values, "bn" + at, [=](const auto& v) mutable { return norm(v[a]); });
      }
      case 5:
      case 6:
        return add_activation(values, a, at, writable);
      case 7:
      case 8:
        return add_sum(values, a, at, writable);
      case 9:
        return add(values, "gate" + at, [=](const auto& v) {
          return v[a] * at::adaptive_avg_pool2d(v[a], {1, 1}).sigmoid();
        });
      case 10:
        if (small || x.size(2) > 40) return;
        if (pick(2) == 0) {
          return add(values, "max_pool" + at,
                     [=](const auto& v) { return at::max_pool2d(v[a], {3, 3}, {2, 2}, {1, 1}); });
        }
        return add(values, "avg_pool" + at,
                   [=](const auto& v) { return at::avg_pool2d(v[a], {2, 2}); });
      case 11: {
        if (x.size(2) > 40) return;
        const bool linear = pick(2) == 0;
        const std::vector<int64_t> size{2 * x.size(2), 2 * x.size(3)};
        return add(values, "upsample" + at, [=](const auto& v) {
          return linear ? at::upsample_bilinear2d(v[a], size, false)
                        : at::upsample_nearest2d(v[a], size);
        });
      }
      case 12:
        if (channels % 4 == 0 && x.size(2) <= 40) {
          return add(values, "pixel_shuffle" + at,
                     [=](const auto& v) { return at::pixel_shuffle(v[a], 2); });
        }
        return;
      case 13:
        return add_view(values, a, at, writable);
      case 14: {
        auto norm = keep(torch::nn::LayerNorm(torch::nn::LayerNormOptions({channels})));
        auto linear = keep(torch::nn::Linear(channels, channels));
        return add(values, "norm, linear" + at, [=](const auto& v) mutable {
          return at::gelu(linear(norm(v[a].permute({0, 2, 3, 1})))).permute({0, 3, 1, 2});
        });
      }
      case 15: {
        auto linear = keep(torch::nn::Linear(channels, channels));
        return add(values, "mean, linear" + at, [=](const auto& v) mutable {
          return v[a] + linear(v[a].mean({2, 3})).unsqueeze(-1).unsqueeze(-1);
        });
      }
      default: {
        const int64_t kind = pick(4);
        return add(values, "copy" + at, [=](const auto& v) {
          return kind == 0   ? v[a].contiguous()
                 : kind == 1 ? v[a].clone()
                 : kind == 2 ? at::dropout(v[a], 0.5, false)
                             : v[a].flip({3});
        });
      }
    }
  }

  void add_activation(std::vector<Tensor>& values, std::size_t a, const std::string& at,
                      bool writable) {
    const bool in_place = writable && pick(2) == 0;
    switch (pick(8)) {
      case 0:
        return add(values, (in_place ? "relu_" : "relu") + at, [=](const auto& v) {
          Tensor x = v[a];
          return in_place ? x.relu_() : x.relu();
        });
      case 1:
        return add(values, "silu" + at, [=](const auto& v) {
          Tensor x = v[a];
          return in_place ? at::silu_(x) : at::silu(x);
        });
      case 2:
        return add(values, "hardswish" + at, [=](const auto& v) { return at::hardswish(v[a]); });
      case 3:
        return add(values, "leaky_relu" + at,
                   [=](const auto& v) { return at::leaky_relu(v[a], 0.2); });
      case 4:
        return add(values, "elu" + at, [=](const auto& v) { return at::elu(v[a]); });
      case 5:
        return add(values, "clamp" + at, [=](const auto& v) { return v[a].clamp_min(-0.3); });
      case 6:
        return add(values, "tanh" + at, [=](const auto& v) { return v[a].tanh(); });
      default:
        return add(values, "mish" + at, [=](const auto& v) { return at::mish(v[a]); });
    }
  }

  /// With the last value of the same size.
  void add_sum(std::vector<Tensor>& values, std::size_t a, const std::string& at, bool writable) {
    for (std::size_t b = values.size(); b-- > 0;) {
      if (values[b].sizes().slice(2) != values[a].sizes().slice(2)) continue;
      const bool same = values[b].sizes() == values[a].sizes();
      const int64_t kind = pick(4);
      if (kind == 3 && values[a].size(1) + values[b].size(1) <= 48) {
        return add(values, "cat" + at, [=](const auto& v) { return at::cat({v[a], v[b]}, 1); });
      }
      if (!same || (a == b && pick(2) == 0)) continue;
      const bool in_place = writable && kind == 0 && !values[a].is_alias_of(values[b]);
      return add(values, (in_place ? "add_" : "add") + at, [=](const auto& v) {
        Tensor x = v[a];
        return in_place ? x.add_(v[b]) : kind == 1 ? v[b] + x : x + v[b];
      });
    }
  }

  void add_view(std::vector<Tensor>& values, std::size_t a, const std::string& at, bool writable) {
    const int64_t channels = values[a].size(1);
    switch (pick(4)) {
      case 0:
        if (channels < 2) return;
        return add(values, "narrow" + at,
                   [=](const auto& v) { return v[a].narrow(1, channels / 2, channels / 2); });
      case 1:
        if (channels % 2 != 0) return;
        return add(values, "channel shuffle" + at, [=](const auto& v) {
          const Tensor& x = v[a];
          return x.reshape({x.size(0), 2, channels / 2, x.size(2), x.size(3)})
              .transpose(1, 2)
              .reshape(x.sizes());
        });
      case 2:
        if (!writable) return;
        return add(values, "write a slice of" + at, [=](const auto& v) {
          v[a].narrow(1, 0, 1).mul_(0.5);
          return v[a];
        });
      default:
        return add(values, "chunk" + at, [=](const auto& v) { return v[a].chunk(2, 2)[0]; });
    }
  }

  std::mt19937 random_;
  Tensor example_;
  std::vector<Step> steps_;
};
CONVKIT_MODULE(RandomNet);

}  // namespace

TEST_CASE("modules made up at random compute the same when compiled", "[compile][random]") {
  at::set_num_threads(1);
  const torch::NoGradGuard no_grad;
  const char* chosen = std::getenv("CONVKIT_FIRST_SEED");  // to look at others
  const auto first = static_cast<uint32_t>(chosen == nullptr ? 1 : std::atoi(chosen));
  for (uint32_t seed = first; seed < first + 150; ++seed) {
    torch::manual_seed(seed);
    const Tensor example = torch::randn({1 + seed % 3, 4, 9 + seed % 7, 8 + seed % 9});
    RandomNet net(seed, example);
    net->eval();
    const Tensor x = torch::randn_like(example);
    const auto expected = net->run(x);
    const auto forward = [&](const Compiled::Tensors& inputs) { return net->run(inputs[0]); };
    for (const bool onednn : {false, true}) {
      INFO("seed " << seed << (onednn ? " by oneDNN: " : " by LibTorch: ") << net->text);
      const auto fast = compile(net.ptr(), forward, {example}, {.onednn = onednn});
      const Tensor kept = x.clone();
      const auto found = fast(Compiled::Tensors{x});
      CHECK(torch::equal(x, kept));
      const Explanation explanation = explain(fast);
      INFO(explanation);
      CHECK_FALSE(explanation.plans.front().fell_back);
      REQUIRE(found.size() == expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        INFO("result " << i);
        REQUIRE(found[i].sizes() == expected[i].sizes());
        const double scale = expected[i].abs().max().item<double>();
        // Thirty operators on numbers of about 1, each with float32's rounding, some of which cancel.
        CHECK((found[i] - expected[i]).abs().max().item<double>() <= 1e-4 * std::max(scale, 0.1));
      }
    }
  }
}
