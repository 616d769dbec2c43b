#include <convkit/same.h>

#include "support.h"

#include <torch/nn/functional/padding.h>
#include <torch/nn/modules/conv.h>

#include <sstream>

using namespace convkit;

TEST_CASE("SAME layers give ceil(size / stride) for any kernel, stride and dilation",
          "[same][shape]") {
  for (const int64_t height : {1, 5, 8}) {
    const torch::Tensor x = torch::randn({2, 3, height, 7});
    for (const int64_t kernel : {1, 2, 5}) {
      for (const int64_t stride : {1, 2, 3}) {
        const std::vector<int64_t> size = {(height + stride - 1) / stride, (7 + 1) / 2};
        const torch::ExpandingArray<2> strides({stride, 2});
        const auto check = [&](const torch::Tensor& y) {
          CHECK(y.sizes().slice(2) == torch::IntArrayRef(size));
        };
        check(Conv2dSame(Conv2dSameOptions(3, 4, {kernel, 3}).stride(strides).dilation(2))(x));
        check(MaxPool2dSame(MaxPool2dSameOptions({kernel, 3}).stride(strides).dilation({3, 1}))(x));
        check(AvgPool2dSame(AvgPool2dSameOptions({kernel, 3}).stride(strides))(x));
      }
    }
  }
}

TEST_CASE("the odd zero of SAME goes to the right and the bottom", "[same][shape]") {
  const torch::Tensor x = torch::ones({1, 1, 3, 3});
  const torch::Tensor padded = pad_same(x, {2, 4}, 1, 1, 7);
  CHECK(padded.sizes() == torch::IntArrayRef({1, 1, 4, 6}));
  CHECK(padded[0][0][0][0].item<float>() == 7);  // left: one of three
  CHECK(padded[0][0][0][1].item<float>() == 1);
  CHECK(padded[0][0][0][4].item<float>() == 7);
  CHECK(padded[0][0][2][2].item<float>() == 1);
  CHECK(padded[0][0][3][2].item<float>() == 7);  // bottom: the only one
}

TEST_CASE("max pooling ignores the padding, average pooling counts it", "[same]") {
  const torch::Tensor x = -torch::ones({1, 1, 3, 3});
  CHECK(torch::equal(MaxPool2dSame(3)(x), -torch::ones({1, 1, 1, 1})));
  const torch::Tensor corner = torch::ones({1, 1, 4, 4});
  CHECK(AvgPool2dSame(AvgPool2dSameOptions(3).stride(2))(corner)[0][0][1][1].item<float>() ==
        4.F / 9);
}

TEST_CASE("Conv2dSame pads the right axes for a kernel that is not square", "[same]") {
  const torch::Tensor x = torch::randn({1, 2, 6, 9});
  torch::nn::Conv2d theirs(
      torch::nn::Conv2dOptions(2, 2, {1, 5}).padding(torch::kSame).padding_mode(torch::kReflect));
  CHECK(theirs(x).sizes() == torch::IntArrayRef({1, 2, 10, 5}));  // the mistake, still there
  Conv2dSame conv(Conv2dSameOptions(2, 2, {1, 5}).padding_mode(torch::kReflect));
  const torch::Tensor padded = torch::nn::functional::pad(
      x, torch::nn::functional::PadFuncOptions({2, 2, 0, 0}).mode(torch::kReflect));
  CHECK(conv(x).sizes() == x.sizes());
  CHECK(torch::equal(conv(x), torch::conv2d(padded, conv->weight, conv->bias)));
}

TEST_CASE("Conv2dSame obeys the laws of every module", "[same][clone]") {
  torch::manual_seed(1);
  Conv2dSame conv(Conv2dSameOptions(4, 6, 3).stride(2));
  CHECK(support::keys(*conv) == std::vector<std::string>{"weight", "bias"});
  support::check_module_laws(conv, torch::randn({2, 4, 9, 8}));
  CHECK(support::keys(*Conv2dSame(Conv2dSameOptions(4, 6, 3).bias(false))) ==
        std::vector<std::string>{"weight"});
}

TEST_CASE("SAME pools clone, and print as in Python", "[same][clone]") {
  const torch::Tensor x = torch::randn({1, 2, 5, 5});
  MaxPool2dSame max_pool(MaxPool2dSameOptions(3).stride(2));
  AvgPool2dSame avg_pool(2);
  CHECK(torch::equal(std::dynamic_pointer_cast<MaxPool2dSameImpl>(max_pool->clone())->forward(x),
                     max_pool(x)));
  CHECK(torch::equal(std::dynamic_pointer_cast<AvgPool2dSameImpl>(avg_pool->clone())->forward(x),
                     avg_pool(x)));
  std::ostringstream printed;
  printed << max_pool << '\n'
          << avg_pool << '\n'
          << Conv2dSame(
                 Conv2dSameOptions(2, 4, 3).groups(2).bias(false).padding_mode(torch::kReflect));
  CHECK(printed.str() ==
        "MaxPool2dSame(kernel_size=[3, 3], stride=[2, 2], dilation=[1, 1])\n"
        "AvgPool2dSame(kernel_size=[2, 2], stride=[2, 2])\n"
        "Conv2dSame(2, 4, kernel_size=[3, 3], stride=[1, 1], groups=2, bias=false, "
        "padding_mode=kReflect)");
}
