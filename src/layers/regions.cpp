#include "layers/regions.h"

#include "core/check.h"

#include <algorithm>
#include <limits>

namespace convkit::detail {

namespace {

constexpr int64_t kMostPerBin = 4096;     // keeps the work for a box in bounds
constexpr int64_t kWorthAThread = 16384;  // additions: a few microseconds

/// The number of each box's image.
std::vector<int64_t> images_of(const torch::Tensor& boxes, int64_t images, const char* name) {
  const torch::Tensor numbers = boxes.select(1, 0).to(torch::kDouble).contiguous();
  const double* const number = numbers.const_data_ptr<double>();
  std::vector<int64_t> result;
  for (int64_t k = 0; k < boxes.size(0); ++k) {
    TORCH_CHECK_VALUE(number[k] > -1 && number[k] < static_cast<double>(images), name,
                      ": expected the number of one of ", images, " images, got ", number[k],
                      " for box ", k);
    result.push_back(static_cast<int64_t>(number[k]));
  }
  return result;
}

}  // namespace

void check_regions(const torch::Tensor& input, const torch::Tensor& boxes,
                   const RegionPooling& pooling) {
  const char* const name = pooling.name;
  TORCH_CHECK_VALUE(input.dim() == 4, name, ": expected input [N, C, H, W], got ", input.sizes());
  TORCH_CHECK_VALUE(input.size(2) >= 1 && input.size(3) >= 1, name,
                    ": expected a height and width >= 1, got ", input.sizes());
  TORCH_CHECK_VALUE(input.size(2) <= std::numeric_limits<int32_t>::max() / input.size(3), name,
                    ": expected at most 2147483647 pixels, got ", input.sizes());
  TORCH_CHECK_VALUE(boxes.dim() == 2 && boxes.size(1) == 5, name, ": expected boxes [K, 5], got ",
                    boxes.sizes());
  TORCH_CHECK_VALUE(input.is_floating_point(), name,
                    ": expected input of a floating point type, got ", input.scalar_type());
  TORCH_CHECK_VALUE(input.scalar_type() == boxes.scalar_type(), name, ": expected boxes of type ",
                    input.scalar_type(), ", as the input, got ", boxes.scalar_type());
  check_positive(name, "output_size", pooling.height);
  check_positive(name, "output_size", pooling.width);
  TORCH_CHECK_VALUE(pooling.sampling_ratio <= kMostPerBin, name,
                    ": expected sampling_ratio <= ", kMostPerBin, ", got ", pooling.sampling_ratio);
}

int64_t Regions::grain(int64_t work) const {
  return std::max<int64_t>(1, kWorthAThread / std::max<int64_t>(1, work));
}

std::vector<std::vector<int64_t>> Regions::boxes_of(int64_t images) const {
  std::vector<std::vector<int64_t>> result(static_cast<std::size_t>(images));
  for (std::size_t k = 0; k < image.size(); ++k) {
    result[static_cast<std::size_t>(image[k])].push_back(static_cast<int64_t>(k));
  }
  return result;
}

Regions regions_of(const torch::Tensor& boxes, const RegionPooling& pooling,
                   torch::IntArrayRef input_sizes) {
  return {pooling, images_of(boxes, input_sizes[0], pooling.name), input_sizes[1], input_sizes[2],
          input_sizes[3]};
}

Regions regions_of_gradient(const torch::Tensor& gradient, const torch::Tensor& boxes,
                            const RegionPooling& pooling, torch::IntArrayRef input_sizes,
                            int64_t channels_for_one) {
  check_regions(gradient.new_empty({1, 1, 1, 1}).expand(input_sizes), boxes, pooling);
  Regions regions = regions_of(boxes, pooling, input_sizes);
  std::vector<int64_t> sizes = regions.sizes();
  sizes[1] /= channels_for_one;
  TORCH_CHECK_VALUE(gradient.sizes() == sizes && regions.channels % channels_for_one == 0,
                    pooling.name, ": expected a gradient ", torch::IntArrayRef(sizes), ", got ",
                    gradient.sizes());
  return regions;
}

bool is_reduced(const torch::Tensor& x) {
  return x.scalar_type() == torch::kHalf || x.scalar_type() == torch::kBFloat16;
}

}  // namespace convkit::detail
