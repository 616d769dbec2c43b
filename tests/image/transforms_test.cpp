#include <convkit/transforms.h>

#include "image/images.h"
#include "support.h"

#include <torch/torch.h>

#include <catch2/catch_test_macros.hpp>

#include <limits>
#include <optional>
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

const auto kSmall = [] { return torch::zeros({3, 4, 6}, torch::kByte); };

}  // namespace

TEST_CASE("resize gives the pixels of Pillow and of torchvision's tensors", "[transforms]") {
  int64_t alive = 0;
  Cases("resize").each(700, [&](const auto& given) {
    const auto options = list<int64_t>(given("options"));
    CAPTURE(options, given("image").sizes(), given("size"), given("image").scalar_type());
    Tensor image = given("image");
    if (options[4] == 1) {
      image = image.unsqueeze(0).contiguous(torch::MemoryFormat::ChannelsLast).squeeze(0);
    }
    const Tensor result =
        T::resize(image, list<int64_t>(given("size")),
                  {.interpolation = static_cast<T::Interpolation>(options[0]),
                   .max_size = options[1] == 0 ? std::nullopt : std::optional(options[1]),
                   .antialias = options[2] == 1,
                   .way = options[3] == 0 ? T::Way::kPillow : T::Way::kTensor});
    CHECK(differing(result, given("result")) == 0);
    if (result.numel() > 1 && !result.eq(result.flatten()[0]).all().template item<bool>()) ++alive;
  });
  CHECK(alive > 620);
}

TEST_CASE("center_crop gives torchvision's pixels, zeros around a small image", "[transforms]") {
  Cases("center_crop").each(300, [&](const auto& given) {
    const Tensor result = T::center_crop(given("image"), list<int64_t>(given("size")));
    CHECK(differing(result, given("result")) == 0);
  });
}

TEST_CASE("crops, paddings and flips give torchvision's pixels", "[transforms]") {
  Cases("geometry").each(250, [&](const auto& given) {
    const Tensor image = given("image");
    const auto region = list<int64_t>(given("region"));
    const auto size = list<int64_t>(given("size"));
    const auto inner = list<int64_t>(given("inner"));
    const auto padding = list<int64_t>(given("padding"));
    const int64_t mode = given("mode").template item<int64_t>();
    CAPTURE(image.sizes(), region, size, inner, padding, mode);
    const T::Region part{
        .top = region[0], .left = region[1], .height = region[2], .width = region[3]};
    CHECK(differing(T::crop(image, part), given("crop")) == 0);
    CHECK(differing(T::resized_crop(image, part, size), given("resized_crop")) == 0);
    CHECK(differing(T::resized_crop(image.to(torch::kFloat),
                                    {.height = inner[0], .width = inner[1]}, size),
                    given("tensor_crop")) == 0);
    CHECK(differing(T::pad(image, padding,
                           {.fill = list<double>(given("fill")),
                            .padding_mode = static_cast<T::PaddingMode>(mode)}),
                    given("padded")) == 0);
    CHECK(differing(T::horizontal_flip(image), given("horizontal_flip")) == 0);
    CHECK(differing(T::vertical_flip(image), given("vertical_flip")) == 0);
    const auto five = T::five_crop(image, inner);
    CHECK(differing(torch::stack(at::TensorList(five)), given("five_crop")) == 0);
  });
}

TEST_CASE("to_tensor and normalize give torchvision's bits", "[transforms]") {
  Cases("normalize").each(40, [&](const auto& given) {
    const Tensor tensor = T::to_tensor(given("image"));
    CHECK(torch::equal(tensor, given("tensor")));
    const Tensor result =
        T::normalize(tensor, list<double>(given("mean")), list<double>(given("std")));
    CHECK(torch::equal(result, given("result")));
    for (const auto& [type, name] :
         {std::pair{torch::kHalf, "float16"}, std::pair{torch::kBFloat16, "bfloat16"}}) {
      CHECK(differing(T::normalize(tensor.to(type), list<double>(given("mean")),
                                   list<double>(given("std"))),
                      given(name)) == 0);
    }
    CHECK(torch::equal(tensor, given("tensor")));  // not in place
  });
}

TEST_CASE("several images are resized each by itself, on any number of threads", "[transforms]") {
  torch::manual_seed(2);
  const Tensor images = torch::randint(0, 256, {2, 2, 3, 300, 411}, torch::kByte);
  const int threads = torch::get_num_threads();
  torch::set_num_threads(1);
  const Tensor single = T::resize(images, {224});
  torch::set_num_threads(3);
  CHECK(torch::equal(T::resize(images, {224}), single));
  torch::set_num_threads(threads);
  CHECK(torch::equal(T::resize(images[1][0], {224}), single[1][0]));
  CHECK(torch::equal(T::resize(images[0][1].transpose(1, 2), {224}),
                     T::resize(images[0][1].transpose(1, 2).contiguous(), {224})));
  CHECK_FALSE(torch::equal(T::resize(images, {224}, {.way = T::Way::kTensor}),
                           T::resize(images.to(torch::kFloat), {224}).to(torch::kByte)));
}

TEST_CASE("transforms refuse what they cannot take", "[transforms][errors]") {
  const Tensor image = kSmall();
  CHECK(error([&] { T::resize(Tensor(), {2}); }) ==
        "resize: expected an image, got an undefined tensor");
  CHECK(error([&] { T::resize(image[0], {2}); }) ==
        "resize: expected an image [..., C, H, W], got [4, 6]");
  CHECK(error([&] { T::resize(image.narrow(1, 0, 0), {2}); }) ==
        "resize: expected an image with pixels, got [3, 0, 6]");
  CHECK(error([&] { T::resize(image, {2, 3, 4}); }) ==
        "resize: expected size {side} or {height, width}, got [2, 3, 4]");
  CHECK(error([&] { T::resize(image, {2, 0}); }) == "resize: expected sides >= 1, got [2, 0]");
  CHECK(error([&] { T::resize(image, {2, 2}, {.max_size = 5}); }) ==
        "resize: expected max_size with a size of one side alone, got 5 with [2, 2]");
  CHECK(error([&] { T::resize(image, {5}, {.max_size = 5}); }) ==
        "resize: expected max_size above the shorter side 5, got 5");
  CHECK(error([&] { T::resize(image.narrow(1, 0, 1), {1}, {.max_size = 2}); }) ==
        "resize: expected sides >= 1, got 0 beside 2 for 1 x 6");
  CHECK(error([&] { T::resize(image.to(torch::kFloat), {2}, {.way = T::Way::kPillow}); }) ==
        "resize: expected an image of type Byte in Pillow's way, got Float; take Way::kTensor");
  CHECK(error([&] { T::resize(torch::cat({image, image}), {2}); }) ==
        "resize: expected 1 to 4 channels in Pillow's way, got 6; take Way::kTensor");
  CHECK(error([&] {
          T::resize(image, {2},
                    {.interpolation = T::Interpolation::kHamming, .way = T::Way::kTensor});
        }) ==
        "resize: expected an interpolation that tensors have, got hamming; take Way::kPillow");
  CHECK(error([&] { T::crop(image, {.height = 2}); }) ==
        "crop: expected a region with height and width >= 1, got 2 x 0");
  CHECK(error([&] { T::pad(image, {1, 2, 3}); }) ==
        "pad: expected padding of 1, 2 or 4 numbers, got [1, 2, 3]");
  CHECK(error([&] { T::pad(image, {-1}); }) == "pad: expected padding >= 0, got [-1]");
  CHECK(error([&] { T::pad(image, {1}, {.fill = {1, 2}}); }) ==
        "pad: expected a fill of 1 or 3 numbers, got 2");
  CHECK(error([&] { T::pad(image, {1, 4}, {.padding_mode = T::PaddingMode::kReflect}); }) ==
        "pad: expected padding of at most 3 for 4 rows, got 4");
  CHECK(error([&] { T::pad(image, {7, 1}, {.padding_mode = T::PaddingMode::kSymmetric}); }) ==
        "pad: expected padding of at most 6 for 6 columns, got 7");
  CHECK(error([&] { T::resize(image.to(torch::kComplexFloat), {2}); }) ==
        "resize: expected an image of real numbers, got ComplexFloat");
  CHECK(error([&] { T::pad(image, {1}, {.fill = {}}); }) ==
        "pad: expected a fill of at least 1 number, got 0");
  CHECK(error([&] { T::horizontal_flip(image[0][0]); }) ==
        "horizontal_flip: expected an image [..., H, W], got [6]");
  CHECK(error([&] { T::five_crop(image, {5, 6}); }) ==
        "five_crop: expected a size within the image [3, 4, 6], got [5, 6]");
  CHECK(error([&] { T::center_crop(image, {2, -1}); }) ==
        "center_crop: expected sides >= 1, got [2, -1]");
  CHECK(error([&] { T::center_crop(image[0][0], {2}); }) ==
        "center_crop: expected an image [..., H, W], got [6]");
  CHECK(error([&] { T::to_tensor(image.to(torch::kFloat)); }) ==
        "to_tensor: expected an image of type Byte, got Float");
  CHECK(error([&] { T::normalize(image, {0.5}, {0.5}); }) ==
        "normalize: expected an image of floating point, got Byte; take to_tensor() before");
  CHECK(error([&] { T::normalize(T::to_tensor(image), {0.5, 0.5}, {0.5}); }) ==
        "normalize: expected 1 or 3 numbers of mean, got 2");
  CHECK(error([&] { T::normalize(T::to_tensor(image), {0.5}, {0}); }) ==
        "normalize: expected std other than 0, got [0]");
}

TEST_CASE("transforms refuse sides that no image has", "[transforms][errors]") {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
  const Tensor image = kSmall();
  CHECK(error([&] { T::resize(image, {kMost}); }) ==
        "resize: expected sides <= 2147483647, got [9223372036854775807]");
  CHECK(error([&] { T::resize(image, {2147483647}); }) ==
        "resize: expected sides <= 2147483647, got 2147483647 x 3221225470");
  CHECK(error([&] { T::resize(image, {2}, {.max_size = kMost}); }) ==
        "resize: expected max_size <= 2147483647, got 9223372036854775807");
  CHECK(error([&] { T::resize(image, {2147483647, 2147483647}); }) ==
        "resize: expected a result of less than 2^63 bytes, got 2147483647 x 2147483647 for an "
        "image [3, 4, 6]");
  CHECK(error([&] { T::center_crop(image, {1, kMost}); }) ==
        "center_crop: expected sides <= 2147483647, got [1, 9223372036854775807]");
  CHECK(error([&] { T::center_crop(image, {2147483647}); }) ==
        "center_crop: expected a result of less than 2^63 bytes, got 2147483647 x 2147483647 for "
        "an image [3, 4, 6]");
  CHECK(error([&] { T::crop(image, {.top = kLeast, .height = 1, .width = 2}); }) ==
        "crop: expected a region of numbers up to 2147483647, got 1 x 2 at -9223372036854775808, "
        "0");
  CHECK(error([&] { T::crop(image, {.left = kMost, .height = 1, .width = kMost}); }) ==
        "crop: expected a region of numbers up to 2147483647, got 1 x 9223372036854775807 at 0, "
        "9223372036854775807");
  CHECK(error([&] { T::crop(image, {.height = 2147483647, .width = 2147483647}); }) ==
        "crop: expected a result of less than 2^63 bytes, got 2147483647 x 2147483647 for an image "
        "[3, 4, 6]");
  for (const auto mode : {T::PaddingMode::kConstant, T::PaddingMode::kEdge,
                          T::PaddingMode::kReflect, T::PaddingMode::kSymmetric}) {
    CHECK(error([&] { T::pad(image, {kMost}, {.padding_mode = mode}); }) ==
          "pad: expected padding <= 2147483647, got [9223372036854775807]");
    CHECK(error([&] { T::pad(image, {int64_t{1} << 40}, {.padding_mode = mode}); }) ==
          "pad: expected padding <= 2147483647, got [1099511627776]");
    CHECK(error([&] { T::pad(image, {0, 2147483647, 0, 0}, {.padding_mode = mode}); }) ==
          "pad: expected sides <= 2147483647, got 2147483651 x 6");
  }
  CHECK(error([&] { T::pad(image, {1 << 30}); }) ==
        "pad: expected sides <= 2147483647, got 2147483652 x 2147483654");
  // A place and a side whose sum is negative.
  CHECK(error([&] {
          T::erase(image, {.top = kMost, .left = kMost, .height = 1, .width = 1}, image[0]);
        }) ==
        "erase: expected a region within 4 x 6, got 1 x 1 at 9223372036854775807, "
        "9223372036854775807");
}

TEST_CASE("pad fills with numbers that the image's type has", "[transforms][errors]") {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Tensor image = kSmall();
  const auto corner = [](const Tensor& x, double fill) {
    return T::pad(x, {1}, {.fill = {fill}})[0][0][0].item<double>();
  };
  const auto refused = [](const Tensor& x, const std::vector<double>& fill) {
    return error([&] { T::pad(x, {1}, {.fill = fill}); });
  };
  CHECK(refused(image, {300}) == "pad: expected a fill that Byte has, got 300");
  CHECK(refused(image, {-5}) == "pad: expected a fill that Byte has, got -5");
  CHECK(refused(image, {kInfinity}) == "pad: expected a fill that Byte has, got inf");
  CHECK(refused(image, {std::numeric_limits<double>::quiet_NaN()}) ==
        "pad: expected a fill that Byte has, got nan");
  CHECK(refused(image, {0, 300, 0}) == "pad: expected a fill that Byte has, got 300");
  CHECK(refused(image.to(torch::kShort), {-32769}) ==
        "pad: expected a fill that Short has, got -32769");
  CHECK(refused(image.to(torch::kLong), {0x1p63}) ==
        "pad: expected a fill that Long has, got 9.22337e+18");
  CHECK(refused(image.to(torch::kHalf), {70000}) ==
        "pad: expected a fill that Half has, got 70000");
  CHECK(refused(image.to(torch::kFloat), {1e300}) ==
        "pad: expected a fill that Float has, got 1e+300");
  CHECK(refused(image.to(torch::kBool), {std::numeric_limits<double>::quiet_NaN()}) ==
        "pad: expected a fill that Bool has, got nan");
  CHECK(corner(image, 255.7) == 255);  // as in Pillow
  CHECK(corner(image, -0.5) == 0);
  CHECK(corner(image.to(torch::kChar), -128) == -128);
  CHECK(corner(image.to(torch::kBool), 7) == 1);
  CHECK(corner(image.to(torch::kFloat), kInfinity) == kInfinity);
  CHECK(corner(image.to(torch::kDouble), 1e300) == 1e300);
}
