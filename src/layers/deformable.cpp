#include "layers/deformable.h"

#include <ATen/Parallel.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace convkit::detail {

namespace {

using Sizes = DeformableSizes;

constexpr int64_t kWorthSamples = 4096;  // samples: a few microseconds
constexpr int64_t kPlaces = 256;         // places whose sums stay in the first cache

/// Where a sample lies between four pixels.
template <typename T>
struct Place {
  int32_t pixel = 0;  ///< the upper left one, with the zeros around the image
  T y = 0;            ///< from there, below 1
  T x = 0;
  bool inside = false;  ///< less than a pixel away from the image
};

template <typename T>
Place<T> place_of(T y, T x, const Sizes& sizes) {
  if (std::isnan(y) || std::isnan(x)) return {0, y - y, x - x, true};  // what it samples is NaN
  const bool near =
      y >= -1 && y < static_cast<T>(sizes.height) && x >= -1 && x < static_cast<T>(sizes.width);
  if (!near) return {};
  const T top = std::floor(y);
  const T left = std::floor(x);
  const int64_t pixel =
      (static_cast<int64_t>(top) + 2) * sizes.row() + static_cast<int64_t>(left) + 1;
  return {static_cast<int32_t>(pixel), y - top, x - left, y > -1 && x > -1};
}

/// One image of the call: where its kernel looks.
template <typename T>
class Image {
 public:
  Image(const Sizes& sizes, const T* offset, const T* mask)
      : sizes_(sizes), offset_(offset), mask_(mask) {}

  Place<T> place(int64_t group, int64_t tap, int64_t i) const {
    const T* const offset = offset_ + (group * sizes_.taps() + tap) * 2 * sizes_.places() + i;
    const auto& options = sizes_.options;
    const int64_t y = i / sizes_.out[1] * options.stride[0] - options.padding[0] +
                      tap / sizes_.kernel[1] * options.dilation[0];
    const int64_t x = i % sizes_.out[1] * options.stride[1] - options.padding[1] +
                      tap % sizes_.kernel[1] * options.dilation[1];
    return place_of(static_cast<T>(y) + offset[0], static_cast<T>(x) + offset[sizes_.places()],
                    sizes_);
  }
  T mask(int64_t group, int64_t tap, int64_t i) const {
    return mask_ == nullptr ? T(1) : mask_[(group * sizes_.taps() + tap) * sizes_.places() + i];
  }

 private:
  const Sizes& sizes_;
  const T* offset_;
  const T* mask_;
};

/// How much each of the four pixels of a sample counts.
template <typename T>
struct SampledPoint {
  int32_t pixel;
  T upper_left, upper_right, lower_left, lower_right;
};

template <typename T>
using SampleList = std::vector<SampledPoint<T>>;

/// Fills in [offset groups, taps, places].
template <typename T>
void find_samples(const Image<T>& image, const Sizes& sizes,
                  std::vector<SampledPoint<T>>& samples) {
  const int64_t rows = sizes.options.offset_groups * sizes.taps();
  at::parallel_for(0, rows * sizes.places(), kWorthSamples, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t row = item / sizes.places();
      const int64_t group = row / sizes.taps();
      const int64_t i = item % sizes.places();
      const Place<T> place = image.place(group, row % sizes.taps(), i);
      SampledPoint<T>& sample = samples[static_cast<std::size_t>(item)];
      sample = {};
      if (!place.inside) continue;
      const T mask = image.mask(group, row % sizes.taps(), i);
      const T upper = (1 - place.y) * mask;
      const T lower = place.y * mask;
      sample = {place.pixel, upper * (1 - place.x), upper * place.x, lower * (1 - place.x),
                lower * place.x};
    }
  });
}

/// Calls f(channel, tap, the samples of both, row of the matrix of columns) for each row. A tap's
/// samples serve its channels one after the other; with `by_channel` a thread takes all of a
/// channel's taps.
template <typename T, typename F>
void each_row(const Sizes& sizes, const SampleList<T>& samples, bool by_channel, const F& f) {
  const int64_t taps = sizes.taps();
  const int64_t count = by_channel ? sizes.channels : sizes.rows();
  const int64_t work = sizes.places() * (by_channel ? taps : 1);
  const auto call = [&](int64_t channel, int64_t tap) {
    const int64_t row = channel / sizes.channels_of_offsets() * taps + tap;
    f(channel, tap, samples.data() + row * sizes.places(), channel * taps + tap);
  };
  const int64_t grain = std::max<int64_t>(1, kWorthSamples / work);
  at::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (!by_channel) {
        call(i % sizes.channels, i / sizes.channels);
      } else {
        for (int64_t tap = 0; tap < taps; ++tap) call(i, tap);
      }
    }
  });
}

/// Writes the matrix of columns: what each weight is multiplied with at each place.
template <typename T>
void fill_columns(const Sizes& sizes, const SampleList<T>& samples, const T* padded, T* columns) {
  each_row(sizes, samples, false,
           [&](int64_t channel, int64_t, const SampledPoint<T>* sample, int64_t row) {
             const T* const plane = padded + channel * sizes.plane();
             T* const to = columns + row * sizes.places();
             for (int64_t i = 0; i < sizes.places(); ++i) {
               const SampledPoint<T>& s = sample[i];
               const T* const upper = plane + s.pixel;
               const T* const lower = upper + sizes.row();
               to[i] = s.upper_left * upper[0] + s.upper_right * upper[1] +
                       s.lower_left * lower[0] + s.lower_right * lower[1];
             }
           });
}

/// Adds the gradient of the columns to that of the pixels that they were sampled from. Each thread
/// has channels of its own.
template <typename T>
void add_to_pixels(const Sizes& sizes, const SampleList<T>& samples, const T* columns, T* padded) {
  each_row(sizes, samples, true,
           [&](int64_t channel, int64_t, const SampledPoint<T>* sample, int64_t row) {
             T* const plane = padded + channel * sizes.plane();
             const T* const from = columns + row * sizes.places();
             for (int64_t i = 0; i < sizes.places(); ++i) {
               const SampledPoint<T>& s = sample[i];
               T* const upper = plane + s.pixel;
               T* const lower = upper + sizes.row();
               upper[0] += s.upper_left * from[i];
               upper[1] += s.upper_right * from[i];
               lower[0] += s.lower_left * from[i];
               lower[1] += s.lower_right * from[i];
             }
           });
}

/// The gradient by the offset and the mask at some places of one tap.
template <typename T>
struct PlaceGradients {
  std::array<T, kPlaces> y{};
  std::array<T, kPlaces> x{};
  std::array<T, kPlaces> mask{};
};

template <typename T>
PlaceGradients<T> gradients_at(const Sizes& sizes, const std::array<Place<T>, kPlaces>& places,
                               int64_t count, int64_t row, int64_t first, const T* padded,
                               const T* columns) {
  PlaceGradients<T> sums;
  const int64_t channels = sizes.channels_of_offsets();
  const int64_t begin = row / sizes.taps() * channels;
  for (int64_t channel = begin; channel < begin + channels; ++channel) {
    const T* const plane = padded + channel * sizes.plane();
    const T* const from =
        columns + (channel * sizes.taps() + row % sizes.taps()) * sizes.places() + first;
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const auto& [pixel, y, x, inside] = places[i];
      const T* const upper = plane + pixel;
      const T* const lower = upper + sizes.row();
      const T across_upper = upper[1] - upper[0];
      const T across_lower = lower[1] - lower[0];
      const T down = (lower[0] - upper[0]) * (1 - x) + (lower[1] - upper[1]) * x;
      sums.y[i] += from[i] * down;
      sums.x[i] += from[i] * (across_upper * (1 - y) + across_lower * y);
      if (inside) sums.mask[i] += from[i] * (upper[0] + across_upper * x + down * y);
    }
  }
  return sums;
}

/// Writes the gradients by one image's offset and mask. Each thread has places of its own.
template <typename T>
void find_place_gradients(const Sizes& sizes, const Image<T>& image, const T* padded,
                          const T* columns, T* offset_gradient, T* mask_gradient) {
  const int64_t tiles = (sizes.places() + kPlaces - 1) / kPlaces;
  const int64_t rows = sizes.options.offset_groups * sizes.taps();
  const int64_t grain = std::max<int64_t>(1, kWorthSamples / (kPlaces * sizes.channels));
  at::parallel_for(0, rows * tiles, grain, [&](int64_t begin, int64_t end) {
    std::array<Place<T>, kPlaces> places;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t row = item / tiles;
      const int64_t group = row / sizes.taps();
      const int64_t first = item % tiles * kPlaces;
      const int64_t count = std::min(kPlaces, sizes.places() - first);
      for (int64_t i = 0; i < count; ++i) {
        places[static_cast<std::size_t>(i)] = image.place(group, row % sizes.taps(), first + i);
      }
      const auto sums = gradients_at(sizes, places, count, row, first, padded, columns);
      T* const by_y = offset_gradient + 2 * row * sizes.places() + first;
      for (int64_t i = 0; i < count; ++i) {
        const std::size_t at = static_cast<std::size_t>(i);
        const T mask = image.mask(group, row % sizes.taps(), first + i);
        by_y[i] = mask * sums.y[at];
        by_y[i + sizes.places()] = mask * sums.x[at];
        if (mask_gradient != nullptr)
          mask_gradient[row * sizes.places() + first + i] = sums.mask[at];
      }
    }
  });
}

/// Copies an image into the zeros around it, or out of them.
template <typename T, typename Copy>
void each_line(const Sizes& sizes, const Copy& copy) {
  const int64_t grain = std::max<int64_t>(1, kWorthSamples / (sizes.height * sizes.width));
  at::parallel_for(0, sizes.channels, grain, [&](int64_t begin, int64_t end) {
    for (int64_t channel = begin; channel < end; ++channel) {
      for (int64_t y = 0; y < sizes.height; ++y) {
        copy((channel * sizes.height + y) * sizes.width,
             channel * sizes.plane() + (y + 2) * sizes.row() + 1);
      }
    }
  });
}

/// The tensors of a call in one piece, and where those of an image begin.
template <typename T>
class Call {
 public:
  Call(const DeformableTensors& tensors, const Sizes& sizes)
      : sizes(sizes),
        input(tensors.input.contiguous()),
        offset(tensors.offset.contiguous()),
        mask(tensors.mask.defined() ? tensors.mask.contiguous() : torch::Tensor()),
        padded(at::zeros({sizes.channels, sizes.plane()}, input.options())),
        columns(at::empty(sizes.columns(), input.options())),
        samples(
            static_cast<std::size_t>(sizes.options.offset_groups * sizes.taps() * sizes.places())) {
  }

  Image<T> image(int64_t n) const {
    return {sizes, offset.const_data_ptr<T>() + n * 2 * samples_of_image(),
            mask.defined() ? mask.const_data_ptr<T>() + n * samples_of_image() : nullptr};
  }
  int64_t samples_of_image() const { return static_cast<int64_t>(samples.size()); }

  /// Fills in the image, its samples and its columns.
  void sample(int64_t n) {
    const T* const from =
        input.const_data_ptr<T>() + n * sizes.channels * sizes.height * sizes.width;
    T* const to = padded.mutable_data_ptr<T>();
    each_line<T>(sizes, [&](int64_t line, int64_t place) {
      std::copy_n(from + line, sizes.width, to + place);
    });
    find_samples(image(n), sizes, samples);
    fill_columns(sizes, samples, to, columns.mutable_data_ptr<T>());
  }

  const Sizes& sizes;
  torch::Tensor input;
  torch::Tensor offset;
  torch::Tensor mask;
  torch::Tensor padded;   ///< an image, with zeros around it
  torch::Tensor columns;  ///< of an image
  SampleList<T> samples;  ///< of an image
};

/// [O, C / groups, kh, kw] as a matrix for each group.
torch::Tensor matrices(const torch::Tensor& weight, const Sizes& sizes) {
  const int64_t groups = sizes.options.groups;
  return weight.reshape({groups, sizes.out_channels / groups, sizes.rows() / groups});
}

template <typename T>
torch::Tensor convolved(const DeformableTensors& tensors, const Sizes& sizes) {
  Call<T> call(tensors, sizes);
  const torch::Tensor weight = matrices(tensors.weight, sizes);
  torch::Tensor result = at::empty({sizes.batch, sizes.options.groups,
                                    sizes.out_channels / sizes.options.groups, sizes.places()},
                                   call.input.options());
  for (int64_t n = 0; n < sizes.batch; ++n) {
    call.sample(n);
    torch::Tensor image = result.select(0, n);
    at::bmm_out(image, weight, call.columns);
  }
  result = result.view({sizes.batch, sizes.out_channels, sizes.out[0], sizes.out[1]});
  return tensors.bias.defined() ? result.add_(tensors.bias.view({1, -1, 1, 1})) : result;
}

template <typename T>
DeformableTensors gradients(const torch::Tensor& gradient, const DeformableTensors& tensors,
                            const Sizes& sizes) {
  Call<T> call(tensors, sizes);
  const torch::Tensor weight = matrices(tensors.weight, sizes).transpose(1, 2);
  DeformableTensors result{at::zeros_like(call.input),
                           at::zeros(weight.sizes(), weight.options()),
                           at::empty_like(call.offset),
                           {},
                           {}};
  if (call.mask.defined()) result.mask = at::empty_like(call.mask);
  torch::Tensor pixels = at::empty_like(call.padded);
  const torch::Tensor from =
      gradient.contiguous().view({sizes.batch, sizes.options.groups,
                                  sizes.out_channels / sizes.options.groups, sizes.places()});
  for (int64_t n = 0; n < sizes.batch; ++n) {
    call.sample(n);
    result.weight.baddbmm_(call.columns, from.select(0, n).transpose(1, 2));
    at::bmm_out(call.columns, weight, from.select(0, n));  // from here on the columns' gradient
    const T* const columns = call.columns.template const_data_ptr<T>();
    add_to_pixels(sizes, call.samples, columns, pixels.zero_().template mutable_data_ptr<T>());
    T* const to = result.input.template mutable_data_ptr<T>() +
                  n * sizes.channels * sizes.height * sizes.width;
    each_line<T>(sizes, [&](int64_t line, int64_t place) {
      std::copy_n(pixels.const_data_ptr<T>() + place, sizes.width, to + line);
    });
    const int64_t first = n * call.samples_of_image();
    find_place_gradients(
        sizes, call.image(n), call.padded.template const_data_ptr<T>(), columns,
        result.offset.template mutable_data_ptr<T>() + 2 * first,
        call.mask.defined() ? result.mask.template mutable_data_ptr<T>() + first : nullptr);
  }
  result.weight = result.weight.transpose(1, 2).reshape(tensors.weight.sizes());
  if (tensors.bias.defined()) result.bias = gradient.sum({0, 2, 3});
  return result;
}

bool is_reduced(const DeformableTensors& tensors) {
  const auto type = tensors.input.scalar_type();
  return type == torch::kHalf || type == torch::kBFloat16;
}

DeformableTensors converted(const DeformableTensors& tensors, torch::Dtype dtype) {
  const auto to = [&](const torch::Tensor& x) { return x.defined() ? x.to(dtype) : x; };
  return {to(tensors.input), to(tensors.weight), to(tensors.offset), to(tensors.mask),
          to(tensors.bias)};
}

}  // namespace

torch::Tensor deform_conv2d_cpu(const DeformableTensors& tensors,
                                const DeformableOptions& options) {
  // The gradient's matrix products too are in the type of their tensors.
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const Sizes sizes = checked_sizes(tensors, options);
  if (is_reduced(tensors)) {
    return deform_conv2d_cpu(converted(tensors, torch::kFloat), options)
        .to(tensors.input.scalar_type());
  }
  return tensors.input.scalar_type() == torch::kDouble ? convolved<double>(tensors, sizes)
                                                       : convolved<float>(tensors, sizes);
}

DeformableTensors deform_conv2d_backward_cpu(const torch::Tensor& gradient,
                                             const DeformableTensors& tensors,
                                             const DeformableOptions& options) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const Sizes sizes = checked_sizes(tensors, options);
  const std::array<int64_t, 4> expected{sizes.batch, sizes.out_channels, sizes.out[0],
                                        sizes.out[1]};
  TORCH_CHECK_VALUE(gradient.sizes() == torch::IntArrayRef(expected) &&
                        gradient.scalar_type() == tensors.input.scalar_type(),
                    "deform_conv2d: expected a gradient ", torch::IntArrayRef(expected),
                    " of the input's type, got ", gradient.toString(), " ", gradient.sizes());
  if (is_reduced(tensors)) {
    return converted(deform_conv2d_backward_cpu(gradient.to(torch::kFloat),
                                                converted(tensors, torch::kFloat), options),
                     tensors.input.scalar_type());
  }
  return tensors.input.scalar_type() == torch::kDouble ? gradients<double>(gradient, tensors, sizes)
                                                       : gradients<float>(gradient, tensors, sizes);
}

}  // namespace convkit::detail
