#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

/// The arithmetic of convolutions: output sizes, parameters, multiplications, receptive fields.
///
/// Every function is constexpr and needs no LibTorch, so a network's shapes can be checked by
/// `static_assert`. An impossible value (a stride of 0, a kernel larger than the padded input)
/// throws std::invalid_argument; a result, or a step on the way to it, above int64 throws
/// std::overflow_error. In a constant expression neither compiles.
namespace convkit {

/// Height and width; one number stands for both, as in Python.
struct Size2d {
  // NOLINTNEXTLINE(google-explicit-constructor): `.kernel_size = 3` is the point.
  constexpr Size2d(int64_t both) : height(both), width(both) {}
  constexpr Size2d(int64_t vertical, int64_t horizontal) : height(vertical), width(horizontal) {}

  friend constexpr bool operator==(const Size2d&, const Size2d&) = default;

  int64_t height;
  int64_t width;
};

/// A convolution or pooling window along one axis.
struct ConvAxis {
  int64_t kernel_size;
  int64_t stride = 1;
  int64_t padding = 0;
  int64_t dilation = 1;
};

/// A transposed convolution along one axis.
struct ConvTransposeAxis {
  int64_t kernel_size;
  int64_t stride = 1;
  int64_t padding = 0;
  int64_t output_padding = 0;
  int64_t dilation = 1;
};

/// A torch.nn.Conv2d, by its options.
struct Conv2dShape {
  int64_t in_channels;
  int64_t out_channels;
  Size2d kernel_size;
  Size2d stride = 1;
  Size2d padding = 0;
  Size2d dilation = 1;
  int64_t groups = 1;
  bool bias = true;
};

/// A torch.nn.ConvTranspose2d, by its options.
struct ConvTranspose2dShape {
  int64_t in_channels;
  int64_t out_channels;
  Size2d kernel_size;
  Size2d stride = 1;
  Size2d padding = 0;
  Size2d output_padding = 0;
  int64_t groups = 1;
  bool bias = true;
  Size2d dilation = 1;
};

/// Zeros to add before and after an axis.
struct SamePadding {
  int64_t before;
  int64_t after;

  friend constexpr bool operator==(const SamePadding&, const SamePadding&) = default;
};

namespace detail {

// These stand apart from the constexpr functions, which reach them only where a constant expression
// has already failed.
[[noreturn]] inline void fail(const char* function, const std::string& expected, int64_t value) {
  throw std::invalid_argument(std::string(function) + ": expected " + expected + ", got " +
                              std::to_string(value));
}
[[noreturn]] inline void fail_overflow(const char* function) {
  throw std::overflow_error(std::string(function) + ": the result does not fit into int64");
}

/// int64 arithmetic that throws instead of wrapping.
struct Checked {
  const char* function;

  constexpr int64_t at_least(int64_t minimum, const char* option, int64_t value) const {
    if (value < minimum) {
      fail(function, std::string(option) + " >= " + std::to_string(minimum), value);
    }
    return value;
  }
  constexpr void at_least(int64_t minimum, const char* option, const Size2d& values) const {
    at_least(minimum, option, values.height);
    at_least(minimum, option, values.width);
  }
  constexpr int64_t add(int64_t a, int64_t b) const {
    int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) fail_overflow(function);
    return sum;
  }
  constexpr int64_t multiply(int64_t a, int64_t b) const {
    int64_t product = 0;
    if (__builtin_mul_overflow(a, b, &product)) fail_overflow(function);
    return product;
  }
  template <typename... More>
  constexpr int64_t multiply(int64_t a, int64_t b, More... more) const {
    return multiply(multiply(a, b), more...);
  }
  /// The number of pixels that a dilated kernel spans.
  constexpr int64_t extent(int64_t kernel_size, int64_t dilation) const {
    at_least(1, "kernel_size", kernel_size);
    at_least(1, "dilation", dilation);
    return add(multiply(dilation, kernel_size - 1), 1);
  }
  constexpr int64_t extent_without_padding(const ConvAxis& axis) const {
    at_least(1, "stride", axis.stride);
    if (axis.padding != 0) fail(function, "padding 0, as the rule itself sets it", axis.padding);
    return extent(axis.kernel_size, axis.dilation);
  }
  /// `in_channels / groups * out_channels * kernel`, the elements of either convolution's weight.
  template <typename Shape>
  constexpr int64_t weight(const Shape& shape) const {
    at_least(1, "in_channels", shape.in_channels);
    at_least(1, "out_channels", shape.out_channels);
    at_least(1, "groups", shape.groups);
    at_least(1, "kernel_size", shape.kernel_size);
    at_least(1, "stride", shape.stride);
    at_least(0, "padding", shape.padding);
    at_least(1, "dilation", shape.dilation);
    if (shape.in_channels % shape.groups != 0) {
      fail(function, "in_channels divisible by groups " + std::to_string(shape.groups),
           shape.in_channels);
    }
    if (shape.out_channels % shape.groups != 0) {
      fail(function, "out_channels divisible by groups " + std::to_string(shape.groups),
           shape.out_channels);
    }
    return multiply(shape.in_channels / shape.groups, shape.out_channels, shape.kernel_size.height,
                    shape.kernel_size.width);
  }
};

}  // namespace detail

/// floor((input + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1, as torch.nn.Conv2d.
///
///     static_assert(conv_output_size(32, {.kernel_size = 3, .stride = 2, .padding = 1}) == 16);
constexpr int64_t conv_output_size(int64_t input, const ConvAxis& axis) {
  constexpr detail::Checked check{"conv_output_size"};
  check.at_least(1, "input", input);
  check.at_least(1, "stride", axis.stride);
  check.at_least(0, "padding", axis.padding);
  const int64_t extent = check.extent(axis.kernel_size, axis.dilation);
  const int64_t padded = check.add(input, check.multiply(2, axis.padding));
  if (extent > padded) {
    detail::fail("conv_output_size", "a padded input >= the kernel's " + std::to_string(extent),
                 padded);
  }
  return (padded - extent) / axis.stride + 1;
}

/// The size by VALID, which pads nothing: floor((input - dilation (kernel_size - 1) - 1) / stride)
/// + 1.
///
/// Throws: also for a padding, which the rule itself sets to 0.
constexpr int64_t valid_output_size(int64_t input, const ConvAxis& axis) {
  constexpr detail::Checked check{"valid_output_size"};
  check.at_least(1, "input", input);
  const int64_t extent = check.extent_without_padding(axis);
  if (extent > input) {
    detail::fail("valid_output_size", "an input >= the kernel's " + std::to_string(extent), input);
  }
  return (input - extent) / axis.stride + 1;
}

/// The size by SAME: ceil(input / stride), whatever the kernel and its dilation.
constexpr int64_t same_output_size(int64_t input, int64_t stride) {
  constexpr detail::Checked check{"same_output_size"};
  check.at_least(1, "input", input);
  check.at_least(1, "stride", stride);
  return (input - 1) / stride + 1;
}

/// The zeros that make a convolution's output ceil(input / stride) long, the odd one after.
///
/// total = max((ceil(input / stride) - 1) stride + dilation (kernel_size - 1) + 1 - input, 0),
/// before = floor(total / 2), after = total - before.
///
/// Throws: also for a padding, which the rule itself computes.
/// Source: TensorFlow's SAME, as timm.layers.padding.pad_same.
constexpr SamePadding same_padding(int64_t input, const ConvAxis& axis) {
  constexpr detail::Checked check{"same_padding"};
  check.at_least(1, "input", input);
  const int64_t extent = check.extent_without_padding(axis);
  // The last window starts at or before the last pixel: no overflow, and `first` <= 0.
  const int64_t first = (input - 1) / axis.stride * axis.stride - input;
  const int64_t total = extent + first > 0 ? extent + first : 0;
  return {total / 2, total - total / 2};
}

/// (input - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1.
///
/// Throws: also for an output_padding that is not below the stride or the dilation, as torch does.
/// Source: torch.nn.ConvTranspose2d.
constexpr int64_t transposed_output_size(int64_t input, const ConvTransposeAxis& axis) {
  constexpr detail::Checked check{"transposed_output_size"};
  check.at_least(1, "input", input);
  check.at_least(1, "stride", axis.stride);
  check.at_least(0, "padding", axis.padding);
  check.at_least(0, "output_padding", axis.output_padding);
  const int64_t extent = check.extent(axis.kernel_size, axis.dilation);
  const int64_t bound = axis.stride > axis.dilation ? axis.stride : axis.dilation;
  if (axis.output_padding >= bound) {
    detail::fail("transposed_output_size",
                 "output_padding < max(stride, dilation) = " + std::to_string(bound),
                 axis.output_padding);
  }
  const int64_t full =
      check.add(check.multiply(input - 1, axis.stride), check.add(extent, axis.output_padding));
  return check.at_least(1, "an output size", check.add(full, -check.multiply(2, axis.padding)));
}

/// (kernel_height kernel_width in_channels / groups + bias) out_channels.
///
///     static_assert(conv2d_parameters({.in_channels = 3, .out_channels = 64, .kernel_size = 3}) == 1792);
constexpr int64_t conv2d_parameters(const Conv2dShape& shape) {
  constexpr detail::Checked check{"conv2d_parameters"};
  return check.add(check.weight(shape), shape.bias ? shape.out_channels : 0);
}

/// (kernel_height kernel_width in_channels / groups + bias) out_channels, as the weight of a
/// ConvTranspose2d is [in_channels, out_channels / groups, kernel_height, kernel_width].
constexpr int64_t conv_transpose2d_parameters(const ConvTranspose2dShape& shape) {
  constexpr detail::Checked check{"conv_transpose2d_parameters"};
  return check.add(check.weight(shape), shape.bias ? shape.out_channels : 0);
}

/// Multiplications of one image's forward pass: the weight's elements times the output's pixels.
/// The bias adds and does not multiply.
///
/// Source: fvcore's conv_flop_count; half of torch.utils.flop_counter's count.
constexpr int64_t conv2d_macs(const Conv2dShape& shape, const Size2d& input) {
  constexpr detail::Checked check{"conv2d_macs"};
  const int64_t height = conv_output_size(input.height, {.kernel_size = shape.kernel_size.height,
                                                         .stride = shape.stride.height,
                                                         .padding = shape.padding.height,
                                                         .dilation = shape.dilation.height});
  const int64_t width = conv_output_size(input.width, {.kernel_size = shape.kernel_size.width,
                                                       .stride = shape.stride.width,
                                                       .padding = shape.padding.width,
                                                       .dilation = shape.dilation.width});
  return check.multiply(check.weight(shape), height, width);
}

/// Multiplications of one image's forward pass: the weight's elements times the *input's* pixels,
/// since each input pixel is multiplied with the whole kernel once.
///
/// Source: fvcore's conv_flop_count; half of torch.utils.flop_counter's count.
/// Differs: torchinfo multiplies by the output's pixels, stride^2 times as many.
constexpr int64_t conv_transpose2d_macs(const ConvTranspose2dShape& shape, const Size2d& input) {
  constexpr detail::Checked check{"conv_transpose2d_macs"};
  // These calls check the options: a layer without an output has no cost either.
  transposed_output_size(input.height, {.kernel_size = shape.kernel_size.height,
                                        .stride = shape.stride.height,
                                        .padding = shape.padding.height,
                                        .output_padding = shape.output_padding.height,
                                        .dilation = shape.dilation.height});
  transposed_output_size(input.width, {.kernel_size = shape.kernel_size.width,
                                       .stride = shape.stride.width,
                                       .padding = shape.padding.width,
                                       .output_padding = shape.output_padding.width,
                                       .dilation = shape.dilation.width});
  return check.multiply(check.weight(shape), input.height, input.width);
}

/// The pixels that the outputs of a chain of convolutions and poolings see, along one axis.
///
/// Output i depends on the input pixels from `start + i jump` to `start + i jump + size - 1`
/// (with gaps where a layer is dilated); a negative index lies in the padding. It begins as the
/// input itself, and each layer makes
///
///     size  += dilation (kernel_size - 1) jump
///     start -= padding jump
///     jump  *= stride
///
///     constexpr auto seen = ReceptiveField{}
///                               .then({.kernel_size = 7, .stride = 2, .padding = 3})
///                               .then({.kernel_size = 3, .stride = 2, .padding = 1});
///     static_assert(seen.size == 11 && seen.jump == 4 && seen.start == -5);
struct ReceptiveField {
  int64_t size = 1;
  int64_t jump = 1;
  int64_t start = 0;

  /// What is seen through one more layer.
  [[nodiscard]] constexpr ReceptiveField then(const ConvAxis& axis) const {
    constexpr detail::Checked check{"ReceptiveField"};
    check.at_least(1, "size", size);
    check.at_least(1, "jump", jump);
    check.at_least(1, "stride", axis.stride);
    check.at_least(0, "padding", axis.padding);
    const int64_t extent = check.extent(axis.kernel_size, axis.dilation);
    return {check.add(size, check.multiply(extent - 1, jump)), check.multiply(jump, axis.stride),
            check.add(start, -check.multiply(axis.padding, jump))};
  }

  friend constexpr bool operator==(const ReceptiveField&, const ReceptiveField&) = default;
};

}  // namespace convkit
