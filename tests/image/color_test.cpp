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
using images::list;
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
  CHECK(changed > 200);
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

TEST_CASE("enhanced colors are those of Pillow and of torchvision's tensors", "[colours]") {
  check_cases("invert", [](const auto&, const Tensor& image, T::Way) { return T::invert(image); });
  check_cases("posterize", [](const auto& given, const Tensor& image, T::Way) {
    return T::posterize(image, given.template item<int64_t>("bits"));
  });
  check_cases("solarize", [](const auto& given, const Tensor& image, T::Way) {
    return T::solarize(image, given.template item<double>("threshold"));
  });
  check_cases("autocontrast", [](const auto&, const Tensor& image, T::Way way) {
    return T::autocontrast(image, way);
  });
  check_cases("equalize",
              [](const auto&, const Tensor& image, T::Way) { return T::equalize(image); });
  check_cases("sharpness", [](const auto& given, const Tensor& image, T::Way way) {
    return T::adjust_sharpness(image, given.template item<double>("factor"), way);
  });
  check_cases("gamma", [](const auto& given, const Tensor& image, T::Way way) {
    return T::adjust_gamma(image, given.template item<double>("gamma"),
                           given.template item<double>("gain"), way);
  });
  check_cases("blur", [](const auto& given, const Tensor& image, T::Way) {
    return T::gaussian_blur(image, list<int64_t>(given("kernel_size")),
                            list<double>(given("sigma")));
  });
  check_cases("erase", [](const auto& given, const Tensor& image, T::Way) {
    const auto region = list<int64_t>(given("region"));
    return T::erase(image,
                    {.top = region[0], .left = region[1], .height = region[2], .width = region[3]},
                    given("value"));
  });
}

TEST_CASE("to_dtype gives torchvision's numbers for all pairs of types", "[colours]") {
  int64_t refused = 0;
  Cases("dtype", "colours").each(98, [&](const auto& given) {
    const Tensor image = given("image");
    const torch::Dtype dtype = given("like").scalar_type();
    const bool scale = given.template item<double>("scale") != 0;
    CAPTURE(image.scalar_type(), dtype, scale);
    if (given("like").numel() == 0) {  // torchvision refuses it
      CHECK(error([&] { T::to_dtype(image, dtype, scale); }).starts_with("to_dtype: expected "));
      ++refused;
      return;
    }
    CHECK(differing(T::to_dtype(image, dtype, scale), given("like")) == 0);
  });
  CHECK(refused == 11);  // 3 from floating point, and 4 whole numbers to bool and back
}

TEST_CASE("images of half precision have torchvision's numbers", "[colours]") {
  Cases("half", "colours").each(20, [&](const auto& given) {
    const Tensor image = given("image");
    const auto check = [&](const std::string& name, const Tensor& result) {
      CAPTURE(name, image.scalar_type(), image.sizes());
      CHECK(differing(result, given(name)) == 0);
    };
    check("gray", T::rgb_to_grayscale(image));
    check("brightness", T::adjust_brightness(image, 1.5));
    check("contrast", T::adjust_contrast(image, 1.5));
    check("saturation", T::adjust_saturation(image, 1.5));
    check("hue", T::adjust_hue(image, 0.2));
    check("invert", T::invert(image));
    check("posterize", T::posterize(image, 3));
    check("solarize", T::solarize(image, 0.4));
    check("autocontrast", T::autocontrast(image));
    check("equalize", T::equalize(image));
    check("sharpness", T::adjust_sharpness(image, 1.5));
    check("gamma", T::adjust_gamma(image, 1.5, 0.9));
    check("blur", T::gaussian_blur(image, {3}));
    check("resize", T::resize(image, {9, 7}));
    check("pad", T::pad(image, {1}, {.fill = {0.3}}));
  });
}

TEST_CASE("uint8 has Pillow's colors and others the tensor's, if nothing is said", "[colours]") {
  torch::manual_seed(3);
  const Tensor bytes = torch::randint(0, 256, {2, 3, 17, 23}, torch::kByte);
  const Tensor gray = T::rgb_to_grayscale(bytes);
  CHECK(torch::equal(gray, T::rgb_to_grayscale(bytes, 1, T::Way::kPillow)));
  CHECK_FALSE(torch::equal(gray, T::rgb_to_grayscale(bytes, 1, T::Way::kTensor)));
  const Tensor floats = T::to_dtype(bytes, torch::kFloat, true);
  CHECK(torch::equal(T::adjust_hue(floats, 0.3), T::adjust_hue(floats, 0.3, T::Way::kTensor)));
  // Several images are computed each by itself, whatever their strides.
  const Tensor turned = bytes.transpose(-1, -2);
  CHECK(torch::equal(T::adjust_hue(bytes, 0.3)[1], T::adjust_hue(bytes[1], 0.3)));
  CHECK(torch::equal(T::adjust_contrast(bytes, 2)[1], T::adjust_contrast(bytes[1], 2)));
  CHECK(torch::equal(T::autocontrast(bytes.div(2, "floor"))[0],
                     T::autocontrast(bytes[0].div(2, "floor"))));
  CHECK(torch::equal(T::adjust_hue(turned, 0.3), T::adjust_hue(bytes, 0.3).transpose(-1, -2)));
  CHECK(torch::equal(T::adjust_gamma(turned, 2), T::adjust_gamma(bytes, 2).transpose(-1, -2)));
  CHECK(torch::equal(T::adjust_sharpness(turned, 3),
                     T::adjust_sharpness(bytes, 3).transpose(-1, -2)));
}

TEST_CASE("colors refuse what they cannot take", "[colours][errors]") {
  const Tensor image = torch::zeros({3, 4, 6}, torch::kByte);
  const Tensor two = image.narrow(0, 0, 2);
  CHECK(error([&] { T::rgb_to_grayscale(image, 2); }) ==
        "rgb_to_grayscale: expected num_output_channels 1 or 3, got 2");
  CHECK(error([&] { T::rgb_to_grayscale(two); }) ==
        "rgb_to_grayscale: expected an image of 1 or 3 channels, got [2, 4, 6]");
  CHECK(error([&] { T::adjust_brightness(image, -1); }) ==
        "adjust_brightness: expected a factor >= 0, got -1");
  CHECK(error([&] { T::adjust_contrast(image[0], 1); }) ==
        "adjust_contrast: expected an image [..., C, H, W], got [4, 6]");
  CHECK(error([&] { T::adjust_saturation(image.to(torch::kFloat), 1, T::Way::kPillow); }) ==
        "adjust_saturation: expected an image of type Byte in Pillow's way, got Float; take "
        "Way::kTensor");
  CHECK(error([&] { T::adjust_hue(image, 0.6); }) ==
        "adjust_hue: expected a factor from -0.5 to 0.5, got 0.6");
  CHECK(error([&] { T::adjust_hue(image.to(torch::kInt), 0.5); }) ==
        "adjust_hue: expected a type of which float32 has all numbers, got Int");
  CHECK(error([&] { T::invert(image.to(torch::kComplexFloat)); }) ==
        "invert: expected uint8, a signed integer or floating point, got ComplexFloat");
  const Tensor bools = image.to(torch::kBool);
  CHECK(error([&] { T::invert(bools); }) ==
        "invert: expected uint8, a signed integer or floating point, got Bool");
  CHECK(error([&] { T::posterize(bools, 1); }) ==
        "posterize: expected uint8, a signed integer or floating point, got Bool");
  CHECK(error([&] { T::solarize(bools, 0.5); }) ==
        "solarize: expected uint8, a signed integer or floating point, got Bool");
  CHECK(error([&] { T::equalize(bools); }) ==
        "equalize: expected uint8, a signed integer or floating point, got Bool");
  const Tensor floats = image.to(torch::kFloat);
  CHECK(error([&] { T::adjust_contrast(floats, 1e300); }) ==
        "adjust_contrast: expected a factor that Float has, got 1e+300");
  CHECK(error([&] { T::adjust_contrast(image, 1e300, T::Way::kTensor); }) ==
        "adjust_contrast: expected a factor that Float has, got 1e+300");
  CHECK(error([&] { T::adjust_saturation(image, 1e300); }) ==
        "adjust_saturation: expected a factor that Float has, got 1e+300");
  CHECK(error([&] { T::adjust_sharpness(floats.to(torch::kHalf), 70000); }) ==
        "adjust_sharpness: expected a factor that Half has, got 70000");
  CHECK(error([&] { T::adjust_gamma(floats.to(torch::kHalf), 70000); }) ==
        "adjust_gamma: expected a gamma that Half has, got 70000");
  CHECK(error([&] { T::gaussian_blur(floats.to(torch::kComplexFloat), {3}); }) ==
        "gaussian_blur: expected an image of real numbers, got ComplexFloat");
  CHECK(error([&] { T::posterize(image, -1); }) == "posterize: expected bits from 0 to 8, got -1");
  CHECK(error([&] { T::solarize(image, 256); }) ==
        "solarize: expected a threshold up to 255, got 256");
  CHECK(error([&] { T::adjust_gamma(image, -1); }) ==
        "adjust_gamma: expected a gamma >= 0, got -1");
  CHECK(error([&] { T::adjust_gamma(two, 1); }) ==
        "adjust_gamma: expected 1 or 3 channels in Pillow's way, got 2; take Way::kTensor");
  CHECK(error([&] { T::gaussian_blur(image, {3, 3, 3}); }) ==
        "gaussian_blur: expected 1 or 2 numbers of kernel_size, got [3, 3, 3]");
  CHECK(error([&] { T::gaussian_blur(image, {3, 2}); }) ==
        "gaussian_blur: expected odd sides of kernel_size, got 2");
  CHECK(error([&] { T::gaussian_blur(image, {3}, {0.5, 0}); }) ==
        "gaussian_blur: expected sigma > 0, got 0");
  CHECK(error([&] { T::gaussian_blur(image, {3, 9}); }) ==
        "gaussian_blur: expected a kernel_size below twice the sides of the image [3, 4, 6], got "
        "[3, 9]");
  CHECK(error([&] { T::erase(image, {.top = 3, .height = 2, .width = 1}, torch::zeros({1})); }) ==
        "erase: expected a region within 4 x 6, got 2 x 1 at 3, 0");
  CHECK(error([&] { T::erase(image, {.height = 2, .width = 1}, torch::zeros({3})); }) ==
        "erase: expected a value that expands to [3, 2, 1], got [3]");
  CHECK(error([&] { T::to_dtype(image.to(torch::kFloat), torch::kInt, true); }) ==
        "to_dtype: expected a type whose numbers Float has, got Int");
  CHECK(error([&] { T::to_dtype(image, torch::kBool, true); }) ==
        "to_dtype: expected whole numbers to scale, got Byte and Bool; scale by floating point");
}
