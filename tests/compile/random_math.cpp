#include "compile/random_operators.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace support {

namespace {

using torch::Tensor;

RandomOperators scalars() {
  return {
      elementwise("add of a number", [](const Tensor& x) { return x + 0.1; }),
      elementwise("rsub", [](const Tensor& x) { return 1 - x; }),
      elementwise("mul by a number", [](const Tensor& x) { return x * -0.7; }),
      elementwise("div by a number", [](const Tensor& x) { return x / 1.5; }),
      elementwise("reciprocal", [](const Tensor& x) { return 2 / (x.abs() + 1); }),
      elementwise("pow", [](const Tensor& x) { return (x.abs() + 0.3).pow(1.7); }),
      elementwise("square", [](const Tensor& x) { return x.square() * 0.5; }),
      elementwise("pow of a number", [](const Tensor& x) { return at::pow(1.3, x.clamp(-4, 4)); }),
      elementwise("sqrt", [](const Tensor& x) { return (x.square() + 0.1).sqrt(); }),
      elementwise("rsqrt", [](const Tensor& x) { return (x.square() + 0.5).rsqrt(); }),
      elementwise("exp", [](const Tensor& x) { return x.clamp_max(2).exp(); }),
      elementwise("expm1", [](const Tensor& x) { return (x * 0.3).clamp_max(3).expm1(); }),
      elementwise("log", [](const Tensor& x) { return (x.abs() + 0.5).log(); }),
      elementwise("log1p", [](const Tensor& x) { return x.abs().log1p(); }),
      elementwise("sin", [](const Tensor& x) { return x.clamp(-9, 9).sin(); }),
      elementwise("cos", [](const Tensor& x) { return x.clamp(-9, 9).cos(); }),
      elementwise("atan", [](const Tensor& x) { return x.atan(); }),
      elementwise("erf", [](const Tensor& x) { return x.erf(); }),
      elementwise("neg", [](const Tensor& x) { return -x; }),
      elementwise("abs", [](const Tensor& x) { return x.abs(); }),
      elementwise("nan_to_num", [](const Tensor& x) { return x.nan_to_num(0.5, 9, -9); }),
      elementwise("by a computed number", [](const Tensor& x) { return x * x.abs().mean(); }),
      elementwise("by a number of zero dimensions",
                  [](const Tensor& x) { return at::scalar_tensor(0.4) - x; }),
  };
}

/// An operator of two tensors of float32, of which the second one is expanded.
template <typename F>
RandomOperator of_two(const std::string& name, F function) {
  return {name, [function](Draw& d) {
            d.floats();
            d.expandable();
            const bool turned = d.chance(40);
            d.details(turned ? "turned" : "");
            d.returns([=](const Tensors& v) {
              return turned ? function(v[1], v[0]) : function(v[0], v[1]);
            });
          }};
}

RandomOperators pairs() {
  using T = const Tensor&;
  return {
      of_two("add", [](T x, T y) { return x + y; }),
      of_two("add scaled", [](T x, T y) { return at::add(x, y, 0.3); }),
      of_two("sub", [](T x, T y) { return x - y; }),
      of_two("mul", [](T x, T y) { return x * y; }),
      of_two("div", [](T x, T y) { return x / (y.abs() + 0.5); }),
      of_two("maximum", [](T x, T y) { return at::maximum(x, y); }),
      of_two("minimum", [](T x, T y) { return at::minimum(x, y); }),
      of_two("atan2", [](T x, T y) { return at::atan2(x, y.abs() + 0.5); }),
      of_two("hypot", [](T x, T y) { return at::hypot(x, y.abs() + 0.1); }),
      of_two("lerp", [](T x, T y) { return at::lerp(x, y, 0.3); }),
      of_two("addcmul", [](T x, T y) { return at::addcmul(x, x, y.tanh(), 0.5); }),
      of_two("addcdiv", [](T x, T y) { return at::addcdiv(x, y, x.abs() + 1, 0.5); }),
      of_two("logaddexp", [](T x, T y) { return at::logaddexp(x, y); }),
      {"cat",
       [](Draw& d) {
         const Tensor x = d.floats();
         d.floats(x.dim());
         const int64_t dim = d.pick(x.dim());
         d.details(c10::str("dimension ", dim));
         d.returns([dim](const Tensors& v) { return at::cat({v[0], v[1]}, dim); });
       }},
      {"cat of a slice",
       [](Draw& d) {
         d.image();
         d.same_size();
         d.returns([](const Tensors& v) {
           return at::cat({v[0], v[1].narrow(1, 0, 1), v[0].narrow(1, 0, 0)}, 1);
         });
       }},
      {"cat of activations",
       [](Draw& d) {
         d.image();
         d.returns([](const Tensors& v) { return at::cat({v[0], -v[0]}, 1).relu(); });
       }},
      {"stack",
       [](Draw& d) {
         d.floats();
         d.same_size();
         const bool reduced = d.chance(70);
         d.returns([reduced](const Tensors& v) {
           const Tensor y = at::stack({v[0], v[1]}, 1);
           return reduced ? y.amax(1) : y;
         });
       }},
      {"residual",
       [](Draw& d) {
         d.image();
         d.same_size();
         d.returns([](const Tensors& v) { return (v[0] + v[1]).relu(); });
       }},
  };
}

RandomOperators reductions() {
  return {
      elementwise("sum", [](const Tensor& x) { return x.sum(-1) * 0.3; }),
      elementwise("sum of all", [](const Tensor& x) { return x.sum() * 0.1; }),
      elementwise("mean", [](const Tensor& x) { return x.mean(0, true); }),
      on_image("mean of places", [](const Tensor& x) { return x.mean({2, 3}); }),
      on_image("mean that keeps dimensions", [](const Tensor& x) { return x.mean({2, 3}, true); }),
      on_image("mean of channels", [](const Tensor& x) { return x.mean(1, true); }),
      on_image("var", [](const Tensor& x) { return x.var({2, 3}, false, true); }),
      on_image("std", [](const Tensor& x) { return (x + x.abs()).std(1, false, true); }),
      elementwise("amax", [](const Tensor& x) { return x.amax(-1); }),
      elementwise("amin", [](const Tensor& x) { return x.amin(0); }),
      on_image("amax of places", [](const Tensor& x) { return x.amax({2, 3}, true) - x; }),
      {"max of a dimension",
       [](Draw& d) {
         d.floats();
         d.rounds();
         d.returns([](const Tensors& v) {
           auto [y, index] = v[0].max(-1);
           return Tensors{y, index};
         });
       }},
      elementwise("max of all", [](const Tensor& x) { return x / (x.abs().max() + 1); }),
      elementwise("norm", [](const Tensor& x) { return x.norm(2, -1) * 0.4; }),
      elementwise("norm of order 1",
                  [](const Tensor& x) { return at::norm(x, 1, {0}, true) * 0.3; }),
      elementwise("logsumexp", [](const Tensor& x) { return x.logsumexp(-1); }),
      elementwise("cumsum", [](const Tensor& x) { return x.cumsum(-1) * 0.3; }),
      elementwise("cumprod", [](const Tensor& x) { return x.tanh().cumprod(-1); }),
      elementwise("cummax", [](const Tensor& x) { return std::get<0>(x.cummax(0)); }),
      elementwise("prod", [](const Tensor& x) { return (x.narrow(-1, 0, 2) + 0.2).prod(-1); }),
      elementwise("diff", [](const Tensor& x) { return x.diff(1, -1); }),
      on_image("channel attention by max and mean",
               [](const Tensor& x) {
                 const Tensor both = at::cat({x.mean(1, true), x.amax(1, true)}, 1);
                 return x * both.sum(1, true).sigmoid();
               }),
      on_image("branch on a size",
               [](const Tensor& x) {
                 if (x.size(2) > 7) return at::avg_pool2d(x, {2, 2});
                 return x.size(3) % 2 == 0 ? x.flip({2}) : x * 0.5 + 0.1;
               }),
      on_image("loop over a size",
               [](const Tensor& x) {
                 Tensor y = x.select(2, 0);
                 for (int64_t i = 1; i < x.size(2); ++i) y = 0.5 * y + x.select(2, i);
                 return y;
               }),
  };
}

/// An operator whose result may jump.
template <typename F>
RandomOperator rounding(const std::string& name, F function) {
  return {name, [function](Draw& d) {
            d.floats();
            d.rounds();
            d.returns([function](const Tensors& v) { return function(v[0]); });
          }};
}

RandomOperators roundings() {
  return {
      rounding("round", [](const Tensor& x) { return (x * 4).round() / 4; }),
      rounding("floor", [](const Tensor& x) { return (x * 3).floor() / 3; }),
      rounding("ceil", [](const Tensor& x) { return x.ceil() - x; }),
      rounding("trunc", [](const Tensor& x) { return x.trunc(); }),
      rounding("frac", [](const Tensor& x) { return x.frac(); }),
      rounding("sign", [](const Tensor& x) { return x.sign() * x.abs().sqrt(); }),
      rounding("remainder", [](const Tensor& x) { return x.remainder(0.7); }),
      rounding("fmod", [](const Tensor& x) { return x.fmod(0.9); }),
      rounding("floor_divide", [](const Tensor& x) { return x.floor_divide(0.5); }),
      rounding("fake quantisation",
               [](const Tensor& x) {
                 return at::fake_quantize_per_tensor_affine(x, 0.05, 0, -127, 127);
               }),
      rounding("uint8 quantisation",
               [](const Tensor& x) { return (x.sigmoid() * 254 + 0.3).round().to(torch::kByte); }),
      rounding("heaviside",
               [](const Tensor& x) { return at::heaviside(x, at::scalar_tensor(0.5F)); }),
      rounding("comparison as numbers",
               [](const Tensor& x) { return (x > 0.1).to(torch::kFloat32); }),
      rounding("greater", [](const Tensor& x) { return x > 0; }),
      rounding("less or equal", [](const Tensor& x) { return x <= 0.3; }),
      rounding("not equal", [](const Tensor& x) { return x.relu() != 0; }),
      rounding("logical_and", [](const Tensor& x) { return (x > -0.5).logical_and(x < 0.5); }),
      rounding("logical_or", [](const Tensor& x) { return (x > 1).logical_or(x < -0.2); }),
      rounding("bitwise_xor", [](const Tensor& x) { return (x > 0.2).bitwise_xor(x > 0.9); }),
      rounding("where", [](const Tensor& x) { return at::where(x > 0.2, x, x * 0.1 - 1); }),
      rounding("masked_fill", [](const Tensor& x) { return x.masked_fill(x > 0.8, -0.2); }),
      rounding("mask of values", [](const Tensor& x) { return x * (x.abs() > 0.2); }),
      rounding("any", [](const Tensor& x) { return (x > 1.2).any(-1); }),
      rounding("all", [](const Tensor& x) { return (x < 1.2).all(0); }),
      rounding("count_nonzero",
               [](const Tensor& x) { return x.relu().count_nonzero(std::optional<int64_t>(-1)); }),
      rounding("isfinite", [](const Tensor& x) { return x * x.isfinite() + 0.1; }),
      rounding("argmax", [](const Tensor& x) { return x.argmax(x.dim() > 1 ? 1 : 0); }),
      rounding("argmin", [](const Tensor& x) { return x.argmin(-1); }),
      rounding("bucketize",
               [](const Tensor& x) {
                 return at::bucketize(x.contiguous(), at::tensor({-1.0F, -0.2F, 0.3F, 1.0F}));
               }),
      {"where by a mask",
       [](Draw& d) {
         d.image();
         d.of(torch::kBool);
         d.returns([](const Tensors& v) { return at::where(v[1], v[0], v[0] * 0.3); });
       }},
      {"masked_fill by a mask",
       [](Draw& d) {
         d.image();
         d.of(torch::kBool);
         d.returns([](const Tensors& v) { return v[0].masked_fill(v[1], 0.25); });
       }},
      {"logical_not",
       [](Draw& d) {
         d.of(torch::kBool);
         d.returns([](const Tensors& v) { return v[0].logical_not(); });
       }},
      {"whole numbers",
       [](Draw& d) {
         d.of(torch::kLong);
         d.returns([](const Tensors& v) { return (v[0] * 3 + 1).remainder(5); });
       }},
      {"mixed types",
       [](Draw& d) {
         d.of(torch::kLong);
         d.returns([](const Tensors& v) { return v[0] * 0.3 - 1; });
       }},
  };
}

RandomOperators sortings() {
  return {
      elementwise("sort", [](const Tensor& x) { return std::get<0>(x.sort(-1)); }),
      {"sort with indices",
       [](Draw& d) {
         d.floats();
         d.rounds();
         d.returns([](const Tensors& v) {
           auto [y, index] = v[0].sort(0, true);
           return Tensors{y, index};
         });
       }},
      elementwise("topk", [](const Tensor& x) { return std::get<0>(x.topk(2, -1)); }),
      {"topk with indices",
       [](Draw& d) {
         d.floats();
         d.rounds();
         d.returns([](const Tensors& v) {
           auto [y, index] = v[0].topk(3, -1);
           return Tensors{y, index};
         });
       }},
      elementwise("kthvalue", [](const Tensor& x) { return std::get<0>(x.kthvalue(2, -1)); }),
      elementwise("median", [](const Tensor& x) { return std::get<0>(x.median(-1)); }),
      elementwise("median of all", [](const Tensor& x) { return x - x.median(); }),
      elementwise("quantile", [](const Tensor& x) { return x.quantile(0.7, -1); }),
      {"argsort",
       [](Draw& d) {
         d.floats();
         d.rounds();
         d.returns([](const Tensors& v) { return at::argsort(v[0], int64_t{-1}); });
       }},
  };
}

}  // namespace

RandomOperators math_operators() {
  RandomOperators all = scalars();
  append(all, pairs());
  append(all, pairs());  // which bring branches together
  append(all, reductions());
  append(all, roundings());
  append(all, sortings());
  return all;
}

}  // namespace support
