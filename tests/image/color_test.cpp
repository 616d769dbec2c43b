#include <convkit/color.h>

#include "image/images.h"
#include "support.h"

#include <torch/torch.h>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <utility>
#include <vector>

namespace T = convkit::transforms;
using images::Cases;
using images::differing;
using support::error;
using torch::Tensor;

namespace {

/// Compares `make` of each case's image, in each way, with what Python made.
template <typename Make>
void check_cases(const std::string& name, const Make& make) {
  int64_t changed = 0;
  Cases(name, "colours").each(600, [&](const auto& given) {
    const Tensor image = given("image");
    const Tensor before = image.clone();
    const auto way = given.template item<double>("way") == 0 ? T::Way::kPillow : T::Way::kTensor;
    CAPTURE(image.sizes(), image.scalar_type());
    const Tensor result = make(given, image, way);
    CHECK(differing(result, given("result")) == 0);
    CHECK(torch::equal(image, before));
    if (result.sizes() != image.sizes() || !torch::equal(result, image)) ++changed;
  });
  CHECK(changed > 250);
}

}  // namespace

TEST_CASE("adjusted colors are those of Pillow and of torchvision's tensors", "[colours]") {
  check_cases("gray", [](const auto& given, const Tensor& image, T::Way way) {
    return T::rgb_to_grayscale(image, given.template item<int64_t>("channels"), way);
  });
  check_cases("brightness", [](const auto& given, const Tensor& image, T::Way) {
    return T::adjust_brightness(image, given.template item<double>("factor"));
  });
  check_cases("contrast", [](const auto& given, const Tensor& image, T::Way way) {
    return T::adjust_contrast(image, given.template item<double>("factor"), way);
  });
  check_cases("saturation", [](const auto& given, const Tensor& image, T::Way way) {
    return T::adjust_saturation(image, given.template item<double>("factor"), way);
  });
  check_cases("hue", [](const auto& given, const Tensor& image, T::Way way) {
    return T::adjust_hue(image, given.template item<double>("factor"), way);
  });
}
