#include "image/tensor_color.h"

#include "image/image_types.h"

#include <ATen/ops/aminmax.h>
#include <ATen/ops/floor.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include <tuple>
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
  hue = hue.mul_(1.0 / 6.0).add_(1.0).fmod_(1.0);
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

}  // namespace convkit::detail
