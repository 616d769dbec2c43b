#include <convkit/random_transforms.h>

#include "image/images.h"
#include "support.h"

#include <torch/torch.h>

#include <catch2/catch_test_macros.hpp>

#include <limits>
#include <string>
#include <vector>

namespace T = convkit::transforms;
using images::Cases;
using images::differing;
using images::list;
using support::error;
using torch::Tensor;

TEST_CASE("random transforms draw torchvision's numbers", "[transforms]") {
  int64_t flipped = 0;
  Cases("random").each(100, [&](const auto& given) {
    const Tensor image = given("image");
    const double p = given("p").template item<double>();
    const auto size = list<int64_t>(given("size"));
    const auto inner = list<int64_t>(given("inner"));
    const auto padding = list<int64_t>(given("padding"));
    const auto scale = list<double>(given("scale"));
    const auto ratio = list<double>(given("ratio"));
    CAPTURE(image.sizes(), p, size, inner, padding, scale, ratio);
    const std::string of = given.name;
    const auto seed = std::stoull(of.substr(of.find('.') + 1));
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
    };
    using Generator = std::optional<at::Generator>;
    check("horizontal_flip", [&](const Generator& generator) {
      return T::random_horizontal_flip(image, p, generator);
    });
    check("vertical_flip",
          [&](const Generator& generator) { return T::random_vertical_flip(image, p, generator); });
    check("inner_crop",
          [&](const Generator& generator) { return T::random_crop(image, inner, {}, generator); });
    check("padded_crop", [&](const Generator& generator) {
      return T::random_crop(image, inner, {.padding = padding, .fill = {9}}, generator);
    });
    check("needed_crop", [&](const Generator& generator) {
      return T::random_crop(
          image, {70, 40},
          {.padding = padding, .pad_if_needed = true, .padding_mode = T::PaddingMode::kEdge},
          generator);
    });
    check("resized_crop", [&](const Generator& generator) {
      return T::random_resized_crop(
          image, size, {.scale = {scale[0], scale[1]}, .ratio = {ratio[0], ratio[1]}}, generator);
    });
    if (!torch::equal(given("horizontal_flip"), image)) ++flipped;
  });
  CHECK(flipped > 25);
  CHECK(flipped < 75);
}

TEST_CASE("random transforms refuse what they cannot take", "[transforms][errors]") {
  const Tensor image = torch::zeros({3, 4, 6}, torch::kByte);
  CHECK(error([&] { T::random_horizontal_flip(image, 1.5); }) ==
        "random_horizontal_flip: expected p from 0 to 1, got 1.5");
  CHECK(error([&] { T::random_vertical_flip(image[0]); }) ==
        "random_vertical_flip: expected an image [..., C, H, W], got [4, 6]");
  CHECK(error([&] { T::random_crop(image, {5}); }) ==
        "random_crop: expected a size within 4 x 6, got 5 x 5; set pad_if_needed");
  CHECK(error([&] { T::random_crop(image, {2}, {.padding = {1, 2, 3}}); }) ==
        "random_crop: expected padding of 1, 2 or 4 numbers, got [1, 2, 3]");
  CHECK(error([&] { T::random_resized_crop(image, {2}, {.scale = {0.5, 0.4}}); }) ==
        "random_resized_crop: expected a scale with 0 <= least <= most, got 0.5 and 0.4");
  CHECK(error([&] { T::random_resized_crop(image, {2}, {.ratio = {0, 1}}); }) ==
        "random_resized_crop: expected a ratio with 0 < least <= most, got 0 and 1");
  CHECK(error([&] { T::random_resized_crop(image, {2}, {.ratio = {0.01, 0.02}}); }) ==
        "random_resized_crop: expected an image with a middle of the ratio 0.01 to 0.02, got [3, "
        "4, 6]");
  CHECK(error([&] { T::random_crop(image, {5}, {.padding = {int64_t{1} << 62}}); }) ==
        "random_crop: expected padding <= 2147483647, got [4611686018427387904]");
  CHECK(error([&] {
          T::random_crop(image, {5}, {.padding = {std::numeric_limits<int64_t>::max()}});
        }) == "random_crop: expected padding <= 2147483647, got [9223372036854775807]");
  CHECK(error([&] { T::random_crop(image, {5}, {.padding = {0, 2147483647}}); }) ==
        "random_crop: expected sides <= 2147483647, got 4294967298 x 6");
  CHECK(error([&] { T::random_crop(image, {int64_t{1} << 40}, {.pad_if_needed = true}); }) ==
        "random_crop: expected sides <= 2147483647, got [1099511627776]");
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  CHECK(error([&] { T::random_resized_crop(image, {2}, {.scale = {0, kInfinity}}); }) ==
        "random_resized_crop: expected a scale that float32 has, got inf");
  CHECK(error([&] { T::random_resized_crop(image, {2}, {.ratio = {1, kInfinity}}); }) ==
        "random_resized_crop: expected a ratio that float32 has, got inf");
  CHECK(error([&] { T::random_resized_crop(image, {2}, {.ratio = {1e-300, 1}}); }) ==
        "random_resized_crop: expected a ratio that float32 has, got 1e-300");
  // The largest numbers give sides beyond those of any type, and none of the image's.
  CHECK(error([&] {
          T::random_resized_crop(image, {2}, {.scale = {1e38, 3e38}, .ratio = {1e38, 3e38}});
        }) ==
        "random_resized_crop: expected an image with a middle of the ratio 1e+38 to 3e+38, got [3, "
        "4, 6]");
  CHECK(error([&] { T::random_resized_crop(image, {0}); }) ==
        "random_resized_crop: expected sides >= 1, got [0]");
}
