#include <convkit/activation.h>

#include "support.h"

using namespace convkit;

TEST_CASE("Hardswish and Hardsigmoid write to x only in place", "[activation]") {
  const torch::Tensor x = torch::linspace(-4, 4, 9);
  torch::Tensor copy = x.clone();
  CHECK_FALSE(Hardswish()(copy).is_same(copy));
  CHECK(torch::equal(copy, x));
  CHECK(Hardswish(true)(copy).is_alias_of(copy));
  CHECK(torch::equal(copy, Hardswish()(x)));
  copy = x.clone();
  CHECK(Hardsigmoid(true)(copy).is_alias_of(copy));
  CHECK(torch::equal(copy, Hardsigmoid()(x)));
  CHECK(torch::equal(Hardsigmoid()->clone()->as<HardsigmoidImpl>()->forward(x), Hardsigmoid()(x)));
}

TEST_CASE("make_activation() passes its values on", "[activation]") {
  const torch::Tensor x = torch::tensor({-2.0F, 3.0F});
  const auto leaky = make_activation({.kind = Activation::kLeakyReLU, .negative_slope = 0.5});
  CHECK(torch::equal(forward_child(*leaky, x), torch::tensor({-1.0F, 3.0F})));
  const auto elu = make_activation({.kind = Activation::kELU, .alpha = 3});
  CHECK(torch::equal(forward_child(*elu, x)[0], 3 * torch::expm1(x)[0]));
  CHECK(make_activation({Activation::kNone}) == nullptr);
  CHECK(support::error([] { make_activation({static_cast<Activation::Kind>(99)}); }) ==
        "make_activation: expected one of Activation's kinds, got 99");
}
