#include <convkit/random_color.h>

#include "image/images.h"
#include "support.h"

#include <torch/torch.h>

#include <ATen/CPUGeneratorImpl.h>

#include <catch2/catch_test_macros.hpp>

#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace T = convkit::transforms;
using images::Cases;
using images::differing;
using images::list;
using support::error;
using torch::Tensor;

TEST_CASE("random colors draw torchvision's numbers, and give its pixels", "[colours]") {
  using Generator = std::optional<at::Generator>;
  int64_t changed = 0;
  int64_t erased = 0;
  int64_t inverted = 0;
  Cases("random", "colours").each(100, [&](const auto& given) {
    const Tensor image = given("image");
    const double p = given.template item<double>("p");
    const auto way = given.template item<double>("way") == 0 ? T::Way::kPillow : T::Way::kTensor;
    const auto part = list<double>(given("part"));
    const auto range = list<double>(given("range"));
    const std::string of = given.name;
    const auto seed = std::stoull(of.substr(of.find('.') + 1));
    CAPTURE(image.sizes(), image.scalar_type(), p, seed);
    const auto check = [&](const std::string& name, const auto& transform) {
      INFO(name);
      torch::manual_seed(seed);
      CHECK(differing(transform(std::nullopt), given(name)) == 0);
      CHECK(torch::equal(torch::rand({1}), given(name + "_next")));
      const Tensor state = at::globalContext().defaultGenerator(torch::kCPU).get_state();
      auto generator = at::detail::createCPUGenerator(seed);
      CHECK(differing(transform(generator), given(name)) == 0);
      CHECK(torch::equal(at::rand({1}, generator), given(name + "_next")));
      CHECK(torch::equal(at::globalContext().defaultGenerator(torch::kCPU).get_state(), state));
      return !torch::equal(given(name), image);
    };
    changed += check("jitter", [&](const Generator& generator) {
      return T::color_jitter(image,
                             {.brightness = {part[0]},
                              .contrast = {part[1], part[1] + 1},
                              .saturation = {part[2]},
                              .hue = {part[3] / 2},
                              .way = way},
                             generator);
    });
    check("hue_alone", [&](const Generator& generator) {
      return T::color_jitter(image, {.brightness = {0}, .hue = {-0.1, 0.3}, .way = way}, generator);
    });
    check("gray", [&](const Generator& generator) {
      return T::random_grayscale(image, p, generator, way);
    });
    inverted += check("invert", [&](const Generator& generator) {
      return T::random_invert(image, p, generator);
    });
    check("posterize",
          [&](const Generator& generator) { return T::random_posterize(image, 3, p, generator); });
    check("solarize", [&](const Generator& generator) {
      return T::random_solarize(image, part[0], p, generator);
    });
    check("autocontrast", [&](const Generator& generator) {
      return T::random_autocontrast(image, p, generator, way);
    });
    check("equalize",
          [&](const Generator& generator) { return T::random_equalize(image, p, generator); });
    check("sharpness", [&](const Generator& generator) {
      return T::random_adjust_sharpness(image, 2 * part[1], p, generator, way);
    });
    check("blur", [&](const Generator& generator) {
      return T::random_gaussian_blur(image, {5, 3}, {0.1, 2}, generator);
    });
    erased += check("erasing", [&](const Generator& generator) {
      return T::random_erasing(image, {.p = 0.9, .value = {part[0]}}, generator);
    });
    check("erasing_noise", [&](const Generator& generator) {
      return T::random_erasing(
          image,
          {.p = 0.9, .scale = {range[0], range[1]}, .ratio = {range[2], range[3]}, .value = {}},
          generator);
    });
  });
  CHECK(changed > 90);
  CHECK(inverted > 30);
  CHECK(inverted < 70);
  CHECK(erased > 60);
}

TEST_CASE("random colors refuse what they cannot take", "[colours][errors]") {
  const Tensor image = torch::zeros({3, 4, 6}, torch::kByte);
  CHECK(error([&] { T::color_jitter(image, {.brightness = {1, 2, 3}}); }) ==
        "color_jitter: expected at most 2 numbers of brightness, got 3");
  CHECK(error([&] { T::color_jitter(image, {.contrast = {-1}}); }) ==
        "color_jitter: expected contrast >= 0, got -1");
  CHECK(
      error([&] { T::color_jitter(image, {.saturation = {2, 1}}); }) ==
      "color_jitter: expected a range of saturation that rises from 0 to inf at most, got 2 to 1");
  CHECK(error([&] { T::color_jitter(image, {.hue = {0.75}}); }) ==
        "color_jitter: expected a range of hue that rises from -0.5 to 0.5 at most, got -0.75 to "
        "0.75");
  CHECK(error([&] { T::random_grayscale(image, 2); }) ==
        "random_grayscale: expected p from 0 to 1, got 2");
  CHECK(error([&] { T::random_invert(image[0]); }) ==
        "random_invert: expected an image [..., C, H, W], got [4, 6]");
  CHECK(error([&] { T::random_posterize(image, 9, 1); }) ==
        "posterize: expected bits from 0 to 8, got 9");
  CHECK(error([&] { T::random_gaussian_blur(image, {3}, {0, 1}); }) ==
        "random_gaussian_blur: expected a sigma with 0 < least <= most, got 0 and 1");
  CHECK(error([&] { T::random_erasing(image, {.scale = {0.5, 2}}); }) ==
        "random_erasing: expected a scale with 0 <= least <= most <= 1, got 0.5 and 2");
  CHECK(error([&] { T::random_erasing(image, {.ratio = {2, 1}}); }) ==
        "random_erasing: expected a ratio with 0 < least <= most, got 2 and 1");
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  CHECK(error([&] { T::color_jitter(image, {.brightness = {0, kInfinity}}); }) ==
        "color_jitter: expected brightness that float32 has, got inf");
  CHECK(error([&] { T::color_jitter(image, {.contrast = {1e300}}); }) ==
        "color_jitter: expected contrast that float32 has, got 1e+300");
  CHECK(error([&] { T::random_gaussian_blur(image, {3}, {1, kInfinity}); }) ==
        "random_gaussian_blur: expected a sigma that float32 has, got inf");
  CHECK(error([&] { T::random_gaussian_blur(image, {3}, {1e-300, 1}); }) ==
        "random_gaussian_blur: expected a sigma that float32 has, got 1e-300");
  CHECK(error([&] { T::random_erasing(image, {.ratio = {1, 1e300}}); }) ==
        "random_erasing: expected a ratio that float32 has, got 1e+300");
  CHECK(error([&] { T::random_erasing(image, {.ratio = {1e-300, 1}}); }) ==
        "random_erasing: expected a ratio that float32 has, got 1e-300");
  CHECK(error([&] { T::random_erasing(image, {.value = {1, 2}}); }) ==
        "random_erasing: expected none, 1 or 3 values, got 2");
}
