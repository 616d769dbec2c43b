#include "captions.h"

#include <fmt/format.h>

#include <functional>

namespace draw {
namespace {

std::string size(int64_t height, int64_t width) {
  return fmt::format("{} × {}", height, width);
}

/// One number where it holds for both axes, as on the command line.
std::string both(int64_t height, int64_t width) {
  return height == width ? std::to_string(height) : fmt::format("({}, {})", height, width);
}

bool is_padded(const Axis& axis) {
  return axis.padding.before + axis.padding.after > 0;
}

std::string padding(const Convolution& c) {
  switch (c.rule) {
    case Padding::kValid:
      return "VALID: no padding";
    case Padding::kSame:
      return "SAME padding";
    case Padding::kNumbers:
      break;
  }
  return "padding " + both(c.height.padding.before, c.width.padding.before);
}

std::string floor_formula(const Convolution& c, const Axis& a) {
  const std::string padding =
      c.rule == Padding::kValid ? "" : fmt::format(" + 2·{}", a.padding.before);
  return fmt::format("floor(({}{} − {}·({} − 1) − 1) / {}) + 1 = {}", a.input, padding, a.dilation,
                     a.kernel, a.stride, a.output);
}

std::string ceil_formula(const Axis& a) {
  return fmt::format("ceil({} / {}) = {}", a.input, a.stride, a.output);
}

std::string same_formula(const Axis& a) {
  return fmt::format("max(({} − 1)·{} + {}·({} − 1) + 1 − {}, 0) = {}: {} before, {} after",
                     a.output, a.stride, a.dilation, a.kernel, a.input,
                     a.padding.before + a.padding.after, a.padding.before, a.padding.after);
}

std::string transposed_formula(const Axis& a) {
  return fmt::format("({} − 1)·{} − 2·{} + {}·({} − 1) + {} + 1 = {}", a.input, a.stride,
                     a.padding.before, a.dilation, a.kernel, a.output_padding, a.output);
}

std::vector<std::string> numbers(const Convolution& c,
                                 const std::function<std::string(const Axis&)>& formula) {
  const std::string height = formula(c.height);
  const std::string width = formula(c.width);
  if (height == width) return {"= " + height};
  return {"height: " + height, "width: " + width};
}

}  // namespace

std::string title(const Convolution& c) {
  return fmt::format("{}onvolution of {} to {}", c.transposed ? "Transposed c" : "C",
                     size(c.height.input, c.width.input), size(c.height.output, c.width.output));
}

std::string subtitle(const Convolution& c) {
  const std::string end =
      c.transposed ? ", output padding " + both(c.height.output_padding, c.width.output_padding)
                   : "";
  return fmt::format("kernel {}, stride {}, {}, dilation {}{}",
                     size(c.height.kernel, c.width.kernel), both(c.height.stride, c.width.stride),
                     padding(c), both(c.height.dilation, c.width.dilation), end);
}

std::string description(const Convolution& c) {
  const std::string what =
      c.transposed
          ? "Step by step, each input cell adds the kernel, times its value, to the output; what "
            "lies in the padding is cropped."
          : "Step by step, the kernel moves over the padded input, and each of its places gives "
            "one cell of the output.";
  std::string sizes;
  for (const Formula& formula : formulas(c)) {
    sizes += " " + formula.names;
    for (const std::string& line : formula.numbers) sizes += (line[0] == '=' ? " " : "; ") + line;
    sizes += ".";
  }
  return fmt::format("An animated picture with {}. {}{}", subtitle(c), what, sizes);
}

Caption input_caption(const Convolution& c) {
  Caption caption{.name = "Input " + size(c.height.input, c.width.input), .around = ""};
  if (c.transposed) return caption;
  const bool padded = is_padded(c.height) || is_padded(c.width);
  const Walk height = walk(false, c.height);
  const Walk width = walk(false, c.width);
  caption.around = padded ? "padded to " + size(height.canvas(), width.canvas()) : "not padded";
  return caption;
}

Caption output_caption(const Convolution& c) {
  Caption caption{.name = "Output " + size(c.height.output, c.width.output), .around = ""};
  if (!c.transposed) return caption;
  const auto stamped = [](const Axis& a) {
    return (a.input - 1) * a.stride + walk(true, a).extent();
  };
  caption.around = fmt::format("stamps cover {}", size(stamped(c.height), stamped(c.width)));
  return caption;
}

Caption kernel_caption(const Convolution& c) {
  const Walk height = walk(c.transposed, c.height);
  const Walk width = walk(c.transposed, c.width);
  const bool dilated = height.extent() > height.kernel || width.extent() > width.kernel;
  const char* what = c.transposed ? "stamped once per input" : "";
  return {.name = "Kernel " + size(height.kernel, width.kernel),
          .around = dilated ? "spans " + size(height.extent(), width.extent()) : what};
}

std::vector<Formula> formulas(const Convolution& c) {
  if (c.transposed) {
    return {{"output = (input − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1",
             numbers(c, transposed_formula)}};
  }
  if (c.rule == Padding::kSame) {
    return {{"output = ceil(input / stride)", numbers(c, ceil_formula)},
            {"padding = max((output − 1)·stride + dilation·(kernel − 1) + 1 − input, 0)",
             numbers(c, same_formula)}};
  }
  const std::string padding = c.rule == Padding::kValid ? "" : " + 2·padding";
  return {{"output = floor((input" + padding + " − dilation·(kernel − 1) − 1) / stride) + 1",
           numbers(c, [&](const Axis& axis) { return floor_formula(c, axis); })}};
}

}  // namespace draw
