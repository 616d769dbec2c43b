#include <convkit/data.h>
#include <convkit/transform_modules.h>

#include "image/images.h"
#include "support.h"

#include <torch/torch.h>

#include <ATen/CPUGeneratorImpl.h>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace T = convkit::transforms;
using convkit::Sequential;
using images::Cases;
using images::differing;
using support::error;
using torch::Tensor;

namespace {

const std::array kMean{0.485, 0.456, 0.406};
const std::array kStd{0.229, 0.224, 0.225};

/// The Compose of tests/parity/colours.py.
Sequential compose(T::Way way) {
  const bool pillow = way == T::Way::kPillow;
  Sequential all{
      T::Resize(30, T::ResizeOptions{.way = way}),
      T::Pad(std::vector<int64_t>{1, 2}, T::PadOptions{.padding_mode = T::PaddingMode::kReflect}),
      T::RandomCrop(std::vector<int64_t>{28, 33},
                    T::RandomCropOptions{.padding = {2}, .pad_if_needed = true, .fill = {9}}),
      T::RandomResizedCrop(26, T::RandomResizedCropOptions{.scale = {0.3, 1}, .way = way}),
      T::RandomHorizontalFlip(),
      T::RandomVerticalFlip(0.3),
      T::ColorJitter(T::ColorJitterOptions{
          .brightness = {0.4}, .contrast = {0.4}, .saturation = {0.4}, .hue = {0.1}, .way = way}),
      T::GaussianBlur(std::vector<int64_t>{3, 5}),
      T::RandomGrayscale(0.3, way),
      T::CenterCrop(std::vector<int64_t>{24, 22})};
  if (pillow) {
    all->push_back(T::ToTensor());
  } else {
    all->push_back(T::ToDtype(torch::kFloat, true));
  }
  all->push_back(T::Normalize(kMean, kStd));
  all->push_back(T::RandomErasing(T::RandomErasingOptions{.value = {}}));
  return all;
}

Sequential gray_compose(T::Way way) {
  return Sequential{T::RandomCrop(7), T::Grayscale(3, way), T::ToDtype(torch::kDouble, true)};
}

std::string printed(const torch::nn::Module& module) {
  std::ostringstream stream;
  stream << module;
  return stream.str();
}

Tensor default_state() {
  return at::globalContext().defaultGenerator(torch::kCPU).get_state();
}

/// Crops by the module, or by the function with the generator that get() is given.
struct Cropped {
  T::RandomCrop crop;
  bool by_module;

  int64_t size() const { return 8; }
  Tensor get(int64_t index, std::optional<at::Generator> generator) const {
    const Tensor image = torch::arange(index, index + 300).view({3, 10, 10});
    return by_module ? convkit::forward_child(*crop.ptr(), image)
                     : T::random_crop(image, {4}, {}, std::move(generator));
  }
};

}  // namespace

TEST_CASE("a Sequential of transforms gives the pixels of torchvision's Compose", "[colours]") {
  int64_t count = 0;
  Cases("compose", "colours").each(200, [&](const auto& given) {
    const Tensor image = given("image");
    const auto way = given.template item<double>("way") == 0 ? T::Way::kPillow : T::Way::kTensor;
    const auto seed = static_cast<uint64_t>(given.template item<double>("seed"));
    CAPTURE(image.sizes(), seed);
    const auto check = [&](const std::string& name, Sequential modules) {
      INFO(name);
      torch::manual_seed(seed);
      const Tensor result = modules(image);
      CHECK(differing(result, given(name)) == 0);
      CHECK(torch::equal(torch::rand({1}), given(name + "_next")));
      CHECK(result.std().template item<double>() > 0);

      const Tensor state = default_state();
      auto generator = at::detail::createCPUGenerator(seed);
      const T::GeneratorScope scope(generator);
      const auto copy = modules->clone();
      CHECK(differing(convkit::forward_child(*copy, image), given(name)) == 0);
      CHECK(torch::equal(at::rand({1}, generator), given(name + "_next")));
      CHECK(torch::equal(default_state(), state));
    };
    check("result", compose(way));
    check("gray", gray_compose(way));
    ++count;
  });
  CHECK(count == 200);
}

TEST_CASE("a module draws from the innermost scope of its thread", "[colours]") {
  const Tensor image = torch::arange(300).view({3, 10, 10});
  const T::RandomCrop crop(3);
  const auto draw = [&] { return convkit::forward_child(*crop.ptr(), image); };
  const auto expected = [&](uint64_t seed) {
    return T::random_crop(image, {3}, {}, at::detail::createCPUGenerator(seed));
  };
  CHECK_FALSE(T::GeneratorScope::current());
  torch::manual_seed(3);
  const Tensor by_default = draw();
  CHECK_FALSE(torch::equal(expected(1), expected(2)));
  CHECK_FALSE(torch::equal(by_default, expected(1)));

  torch::manual_seed(3);
  {
    const T::GeneratorScope outer(at::detail::createCPUGenerator(1));
    {
      const T::GeneratorScope inner(at::detail::createCPUGenerator(2));
      CHECK(torch::equal(draw(), expected(2)));
      const T::GeneratorScope none(std::nullopt);
      CHECK(torch::equal(draw(), by_default));
    }
    CHECK(torch::equal(draw(), expected(1)));
  }
  torch::manual_seed(3);
  CHECK(torch::equal(draw(), by_default));
}

TEST_CASE("a dataset's modules draw from the generator of their worker", "[colours]") {
  namespace data = convkit::data;
  for (const int64_t workers : {0, 1, 3}) {
    CAPTURE(workers);
    const auto batches = [&](bool by_module) {
      torch::manual_seed(5);
      data::DataLoader loader(Cropped{.crop = T::RandomCrop(4), .by_module = by_module},
                              {.batch_size = 2, .num_workers = workers});
      std::vector<Tensor> all;
      for (int epoch = 0; epoch < 2; ++epoch) {
        for (const Tensor& batch : loader) all.push_back(batch);
      }
      return torch::stack(all);
    };
    const Tensor result = batches(true);
    CHECK(torch::equal(result, batches(false)));
    CHECK_FALSE(torch::equal(result.slice(0, 0, 4), result.slice(0, 4)));
  }
}

TEST_CASE("transforms refuse options that no image fits when they are made", "[colours][errors]") {
  CHECK(error([] { T::Resize(0); }) == "Resize: expected sides >= 1, got [0]");
  CHECK(error([] { T::Resize(9, T::ResizeOptions{.max_size = 9}); }) ==
        "Resize: expected max_size above the shorter side 9, got 9");
  CHECK(error([] { T::CenterCrop(std::vector<int64_t>{1, 2, 3}); }) ==
        "CenterCrop: expected size {side} or {height, width}, got [1, 2, 3]");
  CHECK(error([] { T::Pad(-1); }) == "Pad: expected padding >= 0, got [-1]");
  CHECK(error([] { T::RandomCrop(-4); }) == "RandomCrop: expected sides >= 1, got [-4]");
  CHECK(error([] { T::RandomCrop(4, T::RandomCropOptions{.padding = {1, 2, 3}}); }) ==
        "RandomCrop: expected padding of 1, 2 or 4 numbers, got [1, 2, 3]");
  CHECK(error([] { T::RandomResizedCrop(4, T::RandomResizedCropOptions{.scale = {2, 1}}); }) ==
        "RandomResizedCrop: expected a scale with 0 <= least <= most, got 2 and 1");
  CHECK(error([] { T::RandomHorizontalFlip(1.5); }) ==
        "RandomHorizontalFlip: expected p from 0 to 1, got 1.5");
  CHECK(error([] { T::RandomVerticalFlip(-1); }) ==
        "RandomVerticalFlip: expected p from 0 to 1, got -1");
  CHECK(error([] { T::Grayscale(2); }) == "Grayscale: expected num_output_channels 1 or 3, got 2");
  CHECK(error([] { T::RandomGrayscale(2); }) == "RandomGrayscale: expected p from 0 to 1, got 2");
  CHECK(error([] { T::ColorJitter(T::ColorJitterOptions{.hue = {0.75}}); }) ==
        "ColorJitter: expected a range of hue that rises from -0.5 to 0.5 at most, got -0.75 to "
        "0.75");
  CHECK(error([] { T::GaussianBlur(4); }) ==
        "GaussianBlur: expected odd sides of kernel_size, got 4");
  CHECK(error([] { T::GaussianBlur(3, std::array{0.0, 1.0}); }) ==
        "GaussianBlur: expected a sigma with 0 < least <= most, got 0 and 1");
  CHECK(error([] { T::RandomErasing(T::RandomErasingOptions{.p = 2}); }) ==
        "RandomErasing: expected p from 0 to 1, got 2");
  CHECK(error([] { T::RandomErasing(T::RandomErasingOptions{.scale = {0.5, 2}}); }) ==
        "RandomErasing: expected a scale with 0 <= least <= most <= 1, got 0.5 and 2");
  CHECK(error([] { T::ToDtype(torch::kComplexFloat); }) ==
        "ToDtype: expected uint8, a signed integer, floating point or bool, got ComplexFloat");
  CHECK(error([] { T::Normalize(0.5, 0.0); }) == "Normalize: expected std other than 0, got [0]");

  using Numbers = std::vector<double>;
  CHECK(error([] { T::Normalize(0.5, Numbers{}); }) ==
        "Normalize: expected 1 number of mean and std or one for each channel, got 1 and 0");
  CHECK(error([] { T::Normalize(Numbers{1, 2}, Numbers{1, 2, 3}); }) ==
        "Normalize: expected 1 number of mean and std or one for each channel, got 2 and 3");
  CHECK(error([] { T::Pad(1, T::PadOptions{.fill = {}}); }) ==
        "Pad: expected a fill of at least 1 number, got 0");
  CHECK(error([] { T::Pad(int64_t{1} << 40); }) ==
        "Pad: expected padding <= 2147483647, got [1099511627776]");
  CHECK(error([] { T::RandomCrop(4, T::RandomCropOptions{.padding = {1}, .fill = {}}); }) ==
        "RandomCrop: expected a fill of at least 1 number, got 0");

  T::Normalize normalize(kMean, kStd);
  CHECK(error([&] { normalize(torch::zeros({3, 2, 2}, torch::kByte)); }) ==
        "normalize: expected an image of floating point, got Byte; take to_tensor() before");
}

TEST_CASE("transforms print their options by torchvision's names", "[colours]") {
  CHECK(printed(*T::Resize(
            256, T::ResizeOptions{.interpolation = T::Interpolation::kBicubic, .max_size = 300})) ==
        "Resize(size=[256], interpolation=bicubic, max_size=300, antialias=true)");
  CHECK(printed(*T::CenterCrop(std::vector<int64_t>{224, 192})) == "CenterCrop(size=[224, 192])");
  CHECK(printed(*T::Pad(4)) == "Pad(padding=[4], fill=[0], padding_mode=constant)");
  CHECK(printed(*T::RandomCrop(32, T::RandomCropOptions{.padding = {4}})) ==
        "RandomCrop(size=[32], padding=[4], pad_if_needed=false, fill=[0], padding_mode=constant)");
  CHECK(printed(*T::RandomResizedCrop(224)) ==
        "RandomResizedCrop(size=[224], scale=[0.08, 1], ratio=[0.75, 1.33333], "
        "interpolation=bilinear, antialias=true)");
  CHECK(printed(*T::RandomHorizontalFlip()) == "RandomHorizontalFlip(p=0.5)");
  CHECK(printed(*T::RandomVerticalFlip(1)) == "RandomVerticalFlip(p=1)");
  CHECK(printed(*T::Grayscale()) == "Grayscale(num_output_channels=1)");
  CHECK(printed(*T::RandomGrayscale()) == "RandomGrayscale(p=0.1)");
  CHECK(printed(*T::ColorJitter(T::ColorJitterOptions{.brightness = {0.5}, .hue = {0.1}})) ==
        "ColorJitter(brightness=[0.5, 1.5], hue=[-0.1, 0.1])");
  CHECK(printed(*T::GaussianBlur(3)) == "GaussianBlur(kernel_size=[3], sigma=[0.1, 2])");
  CHECK(printed(*T::RandomErasing()) ==
        "RandomErasing(p=0.5, scale=[0.02, 0.33], ratio=[0.3, 3.3], value=[0])");
  CHECK(printed(*T::ToDtype(torch::kFloat, true)) == "ToDtype(dtype=Float, scale=true)");
  CHECK(printed(*Sequential{T::ToTensor(), T::Normalize(0.5, 0.25)}) ==
        "Sequential(\n  (0): ToTensor\n  (1): Normalize(mean=[0.5], std=[0.25])\n)");
}
