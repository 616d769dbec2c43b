#include "image/tensor_color.h"

#include "core/wrapped.h"
#include "image/image_types.h"

#include <ATen/ops/aminmax.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/floor.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/reflection_pad2d.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

namespace convkit::detail {

using torch::Tensor;

namespace {

Tensor hsv_of(const Tensor& image) {
  const Tensor red = image.select(-3, 0);
  const Tensor green = image.select(-3, 1);
  const auto [least, most] = at::aminmax(image, -3);
  const Tensor gray = most == least;
  const Tensor range = most - least;
  const Tensor ones = at::ones_like(most);
  const Tensor saturation = range / at::where(gray, ones, most);
  const Tensor divisor = at::where(gray, ones, range).unsqueeze_(-3);
  const std::vector<Tensor> below = ((most.unsqueeze(-3) - image) / divisor).unbind(-3);
  Tensor from_red = below[0];
  Tensor from_green = below[1];
  Tensor from_blue = below[2];
  const Tensor is_red = most == red;
  const Tensor is_green = (most == green).logical_and_(is_red.logical_not());
  const Tensor is_blue = is_red.logical_or(is_green).logical_not_();
  Tensor of_green = from_red.add(2.0).sub_(from_blue).mul_(is_green);
  Tensor of_red = from_blue.sub_(from_green).mul_(is_red);
  Tensor of_blue = from_green.add_(4.0).sub_(from_red).mul_(is_blue);
  Tensor hue = of_red.add_(of_green).add_(of_blue);
  hue = multiply_(hue, 1.0 / 6.0).add_(1.0).fmod_(1.0);
  return at::stack({hue, saturation, most}, -3);
}

Tensor rgb_of(const Tensor& hue, const Tensor& saturation, const Tensor& value) {
  Tensor rest = hue.mul(6);
  Tensor sixth = at::floor(rest);
  rest.sub_(sixth);
  sixth = sixth.to(torch::kInt);
  Tensor part = saturation * rest;
  Tensor without = at::rsub(saturation, 1.0);
  const auto share = [&](Tensor x) { return x.mul_(value).clamp_(0.0, 1.0); };
  const Tensor falling = share(at::rsub(part, 1.0));
  const Tensor rising = share(part.add_(without));
  const Tensor low = share(without);
  sixth.remainder_(6);
  const Tensor all = at::stack({value, low, falling, rising}, -3);
  // Of these, by the sixth of the circle: red, green and blue.
  const Tensor which = at::tensor({0, 2, 1, 1, 3, 0, 3, 0, 0, 2, 1, 1, 1, 1, 3, 0, 0, 2},
                                  hue.options().dtype(torch::kLong))
                           .view({3, 6});
  std::vector<int64_t> sizes = sixth.sizes().vec();
  sizes.insert(sizes.begin(), 3);
  return all.gather(-3, which.index_select(1, sixth.flatten()).view(sizes).movedim(0, -3));
}

}  // namespace

Tensor tensor_grayscale(const Tensor& image) {
  return image.select(-3, 0)
      .mul(0.2989)
      .add_(image.select(-3, 1), 0.587)
      .add_(image.select(-3, 2), 0.114)
      .unsqueeze(-3);
}

Tensor tensor_blend(const Tensor& image, const Tensor& other, double factor) {
  return image.mul(factor)
      .add_(other, 1.0 - factor)
      .clamp_(0, largest(image.scalar_type()))
      .to(image.scalar_type());
}

Tensor tensor_mean(const Tensor& image) {
  const bool floating = image.is_floating_point();
  Tensor gray;
  if (image.size(-3) == 3) {
    gray = tensor_grayscale(image);
    if (!floating) gray.floor_();
  } else {
    gray = floating ? image : image.to(torch::kFloat);
  }
  return at::mean(gray, {-3, -2, -1}, /*keepdim=*/true);
}

Tensor tensor_turned(const Tensor& image, double factor) {
  const std::vector<Tensor> hsv = hsv_of(image).unbind(-3);
  Tensor hue = hsv[0];
  return rgb_of(hue.add_(factor).remainder_(1.0), hsv[1], hsv[2]);
}

Tensor tensor_autocontrast(const Tensor& image) {
  const int64_t white = largest(image.scalar_type());
  const Tensor x = image.is_floating_point() ? image : image.to(torch::kFloat);
  Tensor least = x.amin({-2, -1}, /*keepdim=*/true);
  Tensor most = x.amax({-2, -1}, /*keepdim=*/true);
  const Tensor plain = most == least;
  Tensor scale = multiply_(most.sub_(least), 1.0 / static_cast<double>(white));
  least.masked_fill_(plain, 0.0);
  scale.masked_fill_(plain, 1.0);
  return x.sub(least).div_(scale).clamp_(0, white).to(image.scalar_type());
}

Tensor tensor_equalize(const Tensor& image) {
  const Tensor pixels = image.flatten(-2).to(torch::kLong);
  std::vector<int64_t> sizes = pixels.sizes().vec();
  sizes.back() = 256;
  Tensor counts = at::zeros(sizes, pixels.options());
  counts.scatter_add_(-1, pixels, at::ones_like(pixels));
  const Tensor sums = counts.cumsum(-1);
  // The level that is the highest one of the image is not spread.
  const Tensor highest = counts.gather(-1, sums.argmax(-1, /*keepdim=*/true));
  const Tensor step = at::rsub(highest, pixels.size(-1)).div_(255, "floor");
  const Tensor divisor = step.clamp_min(1);
  const Tensor table =
      (sums - counts).add_(step.div(2, "floor")).div_(divisor, "floor").clamp_(0, 255);
  const Tensor result = table.gather(-1, pixels).to(torch::kByte).view(image.sizes());
  return at::where(step.ne(0).unsqueeze(-1), result, image);
}

Tensor tensor_sharpness(const Tensor& image, double factor) {
  const int64_t channels = image.size(-3);
  const int64_t height = image.size(-2);
  const int64_t width = image.size(-1);
  const bool floating = image.is_floating_point();
  const torch::Dtype dtype = floating ? image.scalar_type() : torch::kFloat;
  Tensor result = image.to(dtype, /*non_blocking=*/false, /*copy=*/true);
  if (image.dim() > 4) result = result.reshape({-1, channels, height, width});
  constexpr double kSide = 1.0 / 13.0;
  const Tensor kernel =
      at::tensor({kSide, kSide, kSide, kSide, 5.0 / 13.0, kSide, kSide, kSide, kSide},
                 torch::kDouble)
          .to(result.options())  // LibTorch makes no tensor of half precision of a list
          .view({3, 3})
          .expand({channels, 1, 3, 3});
  Tensor smooth = at::conv2d(result, kernel, {}, 1, at::IntArrayRef{0}, 1, channels);
  if (!floating) smooth.round_();
  Tensor inner = result.narrow(-2, 1, height - 2).narrow(-1, 1, width - 2);
  inner.add_(smooth.sub_(inner), 1.0 - factor);
  return result.clamp_(0, largest(image.scalar_type()))
      .to(image.scalar_type())
      .reshape(image.sizes());
}

Tensor tensor_blur(const Tensor& image, std::array<int64_t, 2> kernel_size,
                   std::array<double, 2> sigma) {
  const auto gaussian = [&](std::size_t i) {
    const double end = static_cast<double>(kernel_size[i] - 1) / (2.0 * std::sqrt(2.0));
    const Tensor x = at::linspace(-end, end, kernel_size[i], image.options());
    return at::softmax(x.div(sigma[i]).pow(2).neg(), 0);
  };
  const int64_t channels = image.size(-3);
  const Tensor across = gaussian(0);
  const Tensor kernel =
      (gaussian(1).unsqueeze(-1) * across).expand({channels, 1, kernel_size[1], kernel_size[0]});
  const int64_t columns = kernel_size[0] / 2;
  const int64_t rows = kernel_size[1] / 2;
  Tensor x =
      image.dim() == 4 ? image : image.reshape({-1, channels, image.size(-2), image.size(-1)});
  x = at::reflection_pad2d(x, {columns, columns, rows, rows});
  return at::conv2d(x, kernel, {}, 1, at::IntArrayRef{0}, 1, channels).reshape(image.sizes());
}

}  // namespace convkit::detail
