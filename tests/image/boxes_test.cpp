#include <convkit/boxes.h>
#include <convkit/random_transforms.h>
#include <convkit/sample.h>

#include "image/images.h"
#include "support.h"

#include <torch/torch.h>

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

namespace {

T::BoundingBoxes boxes_of(const images::Given& given) {
  const Tensor image = given("image");
  return {.data = given("boxes"),
          .format = static_cast<T::BoxFormat>(given("format").item<int64_t>()),
          .canvas_size = {image.size(-2), image.size(-1)}};
}

T::Sample sample_of(const images::Given& given) {
  return {.image = given("image"), .mask = given("mask"), .boxes = boxes_of(given)};
}

/// How many numbers of a sample are others than torchvision's.
int64_t unlike(const T::Sample& sample, const images::Given& given, const std::string& name) {
  int64_t count = differing(sample.image, given(name + "_image"));
  count += differing(sample.mask, given(name + "_mask"));
  count += differing(sample.boxes->data, given(name + "_boxes"));
  const auto canvas = list<int64_t>(given(name + "_canvas"));
  return count + (c10::IntArrayRef(sample.boxes->canvas_size) == canvas ? 0 : 1);
}

const auto kBoxes = [] {
  return T::BoundingBoxes{.data = torch::tensor({{1.0F, 1.0F, 3.0F, 2.0F}}), .canvas_size = {4, 6}};
};

const auto kSample = [] {
  return T::Sample{.image = torch::zeros({3, 4, 6}, torch::kByte),
                   .mask = torch::zeros({4, 6}, torch::kLong),
                   .boxes = kBoxes()};
};

}  // namespace

TEST_CASE("boxes have torchvision's numbers in each format, clamped and sanitized",
          "[transforms]") {
  int64_t kept = 0;
  int64_t lost = 0;
  Cases("sample").each(300, [&](const auto& given) {
    const T::BoundingBoxes boxes = boxes_of(given);
    const Tensor before = boxes.data.clone();
    CAPTURE(boxes.data, static_cast<int>(boxes.format), boxes.canvas_size);
    for (int format = 0; format < 3; ++format) {
      const auto wanted = static_cast<T::BoxFormat>(format);
      const T::BoundingBoxes converted = T::convert_bounding_box_format(boxes, wanted);
      CHECK(differing(converted.data, given("to_" + std::to_string(format))) == 0);
      CHECK(converted.format == wanted);
    }
    CHECK(differing(T::clamp_bounding_boxes(boxes).data, given("clamped")) == 0);
    const auto [rest, valid] = T::sanitize_bounding_boxes(boxes, {.min_size = 1.5, .min_area = 40});
    CHECK(differing(rest.data, given("kept")) == 0);
    CHECK(differing(valid, given("valid")) == 0);
    CHECK(torch::equal(boxes.data, before));  // not in place
    kept += rest.data.size(0);
    lost += boxes.data.size(0) - rest.data.size(0);
  });
  CHECK(kept > 100);
  CHECK(lost > 100);
}

TEST_CASE("a transform does to masks and boxes what torchvision does to them", "[transforms]") {
  int64_t shortened = 0;
  Cases("sample").each(300, [&](const auto& given) {
    const T::Sample sample = sample_of(given);
    const auto size = list<int64_t>(given("size"));
    const auto shorter = list<int64_t>(given("shorter"));
    const auto padding = list<int64_t>(given("padding"));
    const auto part = list<int64_t>(given("region"));
    CAPTURE(sample.image.sizes(), sample.mask.sizes(), size, shorter, padding, part);
    const T::Region region{.top = part[0], .left = part[1], .height = part[2], .width = part[3]};
    const auto nearest = given("exact").template item<bool>() ? T::Interpolation::kNearestExact
                                                              : T::Interpolation::kBilinear;
    CHECK(unlike(T::resize(sample, size, {.interpolation = nearest}), given, "resize") == 0);
    if (given.has("resize_shorter_image")) {
      ++shortened;
      CHECK(unlike(T::resize(sample, {shorter[0]}, {.max_size = shorter[1]}), given,
                   "resize_shorter") == 0);
    }
    CHECK(unlike(T::crop(sample, region), given, "crop") == 0);
    CHECK(unlike(T::resized_crop(sample, region, size), given, "resized_crop") == 0);
    CHECK(unlike(T::pad(sample, padding, {.fill = {3}}), given, "pad") == 0);
    CHECK(unlike(T::center_crop(sample, size), given, "center_crop") == 0);
    CHECK(unlike(T::horizontal_flip(sample), given, "horizontal_flip") == 0);
    CHECK(unlike(T::vertical_flip(sample), given, "vertical_flip") == 0);
    CHECK(torch::equal(T::resized_crop(*sample.boxes, region, size).data,
                       given("resized_crop_boxes")));
  });
  CHECK(shortened > 200);
}

TEST_CASE("a sample's parts have one random draw in common", "[transforms]") {
  Cases("sample").each(300, [&](const auto& given) {
    const T::Sample sample = sample_of(given);
    const auto size = list<int64_t>(given("size"));
    const auto inner = list<int64_t>(given("inner"));
    const auto padding = list<int64_t>(given("padding"));
    const double p = given("p").template item<double>();
    CAPTURE(sample.image.sizes(), sample.mask.sizes(), size, inner, padding, p);
    const std::string of = given.name;
    const auto seed = std::stoull(of.substr(of.find('.') + 1));
    const auto check = [&](const std::string& name, const auto& transform) {
      INFO(name);
      torch::manual_seed(seed);
      CHECK(unlike(transform(), given, name) == 0);
      CHECK(torch::equal(torch::rand({1}), given(name + "_next")));
    };
    check("random_horizontal_flip", [&] { return T::random_horizontal_flip(sample, p); });
    check("random_vertical_flip", [&] { return T::random_vertical_flip(sample, p); });
    check("random_crop", [&] { return T::random_crop(sample, inner); });
    check("random_padded_crop", [&] {
      return T::random_crop(
          sample, {70, 40},
          {.padding = padding, .pad_if_needed = true, .fill = {9}, .mask_fill = 1});
    });
    if (given.has("random_resized_crop_image")) {
      check("random_resized_crop", [&] {
        return T::random_resized_crop(sample, size, {.scale = {0.2, 1}, .ratio = {0.05, 20}});
      });
    }
  });
}

TEST_CASE("boxes of half precision are moved", "[transforms]") {
  T::BoundingBoxes boxes = kBoxes();
  const Tensor expected = T::pad(boxes, {1, 2}).data;
  boxes.data = boxes.data.to(torch::kHalf);
  CHECK(torch::equal(T::pad(boxes, {1, 2}).data, expected.to(torch::kHalf)));
}

TEST_CASE("a mask is filled by its own number, whatever the image is", "[transforms]") {
  T::Sample sample = kSample();
  sample.boxes.reset();
  const Tensor mask =
      T::pad(sample, {1}, {.fill = {}, .padding_mode = T::PaddingMode::kEdge}, 3).mask;
  CHECK(torch::equal(mask, T::pad(sample, {1}, {.padding_mode = T::PaddingMode::kEdge}).mask));
}

TEST_CASE("a sample may have an image alone", "[transforms]") {
  const T::Sample sample = T::random_crop(
      T::pad(T::Sample{.image = torch::ones({3, 4, 6})}, {1}, {.fill = {1, 2, 3}}), {2});
  CHECK(sample.image.sizes() == c10::IntArrayRef({3, 2, 2}));
  CHECK_FALSE(sample.mask.defined());
  CHECK_FALSE(sample.boxes);
}

TEST_CASE("boxes and samples are refused that do not fit", "[transforms][errors]") {
  T::BoundingBoxes boxes = kBoxes();
  CHECK(error([&] { T::crop(boxes, {.height = 2}); }) ==
        "crop: expected a region with height and width >= 1, got 2 x 0");
  CHECK(error([&] { T::pad(boxes, {1, 2, 3}); }) ==
        "pad: expected padding of 1, 2 or 4 numbers, got [1, 2, 3]");
  CHECK(error([&] { T::resize(boxes, {2, 3, 4}); }) ==
        "resize: expected size {side} or {height, width}, got [2, 3, 4]");
  CHECK(error([&] { T::resize(boxes, {5}, 5); }) ==
        "resize: expected max_size above the shorter side 5, got 5");
  CHECK(error([&] { T::pad(boxes, {std::numeric_limits<int64_t>::max()}); }) ==
        "pad: expected padding <= 2147483647, got [9223372036854775807]");
  CHECK(error([&] { T::pad(boxes, {0, 2147483647, 0, 0}); }) ==
        "pad: expected sides <= 2147483647, got 2147483651 x 6");
  CHECK(error([&] {
          T::crop(boxes, {.top = std::numeric_limits<int64_t>::min(), .height = 1, .width = 1});
        }) ==
        "crop: expected a region of numbers up to 2147483647, got 1 x 1 at -9223372036854775808, "
        "0");
  CHECK(error([&] { T::resize(boxes, {2147483647}); }) ==
        "resize: expected sides <= 2147483647, got 2147483647 x 3221225470");
  boxes.canvas_size = {4, int64_t{1} << 40};
  CHECK(error([&] { T::clamp_bounding_boxes(boxes); }) ==
        "clamp_bounding_boxes: expected sides <= 2147483647, got 4 x 1099511627776");
  boxes.canvas_size = {4, 0};
  CHECK(error([&] { T::clamp_bounding_boxes(boxes); }) ==
        "clamp_bounding_boxes: expected a canvas with sides >= 1, got 4 x 0");
  boxes.data = torch::zeros({4});
  CHECK(error([&] { T::horizontal_flip(boxes); }) ==
        "horizontal_flip: expected boxes [N, 4], got [4]");
  CHECK(error([&] { T::sanitize_bounding_boxes({}); }) ==
        "sanitize_bounding_boxes: expected boxes, got an undefined tensor");

  T::Sample sample = kSample();
  CHECK(error([&] { T::pad(sample, {1}, {.padding_mode = T::PaddingMode::kEdge}); }) ==
        "pad: expected PaddingMode::kConstant with boxes, got another mode");
  CHECK(error([&] { T::pad(sample, {1}, {.fill = {1, 2, 3}}); }) ==
        "pad: expected a mask_fill for a mask, beside a fill of 3 numbers");
  sample.boxes->canvas_size = {6, 4};
  CHECK(error([&] { T::random_crop(sample, {2}); }) ==
        "random_crop: expected boxes of a canvas [4, 6], as the image, got [6, 4]");
  sample.mask = torch::zeros({3, 6, 4});
  CHECK(error([&] { T::vertical_flip(sample); }) ==
        "vertical_flip: expected a mask [..., 4, 6], as the image, got [3, 6, 4]");
  sample.image = sample.image[0];
  CHECK(error([&] { T::center_crop(sample, {2}); }) ==
        "center_crop: expected an image [..., C, H, W], got [4, 6]");
}
