// convkit draw: pictures, and first a convolution's arithmetic as an animated one.
#include "../cli.h"
#include "commands.h"
#include "convolution.h"
#include "picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace tool {
namespace {

// Beyond these a picture on a slide says nothing any more.
constexpr int64_t kMostCells = 40;  // along each side, padding included
constexpr int64_t kMostSteps = 256;
constexpr int64_t kMostNumber = 99;

struct DrawOptions {
  std::string kind;
  std::string input;
  std::string kernel = "3";
  std::string stride = "1";
  std::string padding = "0";
  std::string dilation = "1";
  std::string output_padding = "0";
  std::string out;
};

[[noreturn]] void refuse(const std::string& option, const std::string& expected,
                         const std::string& got) {
  throw std::invalid_argument(option + ": expected " + expected + ", got " + got);
}

/// "7" or "7,9".
convkit::Size2d size_of(const std::string& option, const std::string& text, int64_t least,
                        const char* other = "") {
  const auto number = [&](std::string_view digits) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value);
    if (error != std::errc() || end != digits.end() || value < least || value > kMostNumber) {
      refuse(option,
             fmt::format("numbers from {} to {}, as in 7 or 7,9{}", least, kMostNumber, other),
             cli::printable(text));
    }
    return value;
  };
  const std::size_t comma = text.find(',');
  if (comma == std::string::npos) return number(text);
  const std::string_view both = text;
  return {number(both.substr(0, comma)), number(both.substr(comma + 1))};
}

void set_conv_output(draw::Axis& axis, draw::Padding rule, const std::string& side) {
  const convkit::ConvAxis conv = {
      .kernel_size = axis.kernel, .stride = axis.stride, .padding = 0, .dilation = axis.dilation};
  if (rule == draw::Padding::kSame) {
    axis.padding = convkit::same_padding(axis.input, conv);
    axis.output = convkit::same_output_size(axis.input, axis.stride);
    return;
  }
  const int64_t padded = axis.input + 2 * axis.padding.before;
  const int64_t extent = axis.dilation * (axis.kernel - 1) + 1;
  if (extent > padded) {
    refuse(
        "--kernel", fmt::format("at most {} cells of {}, the padded input's", padded, side),
        fmt::format("{} with --dilation {}, which spans {}", axis.kernel, axis.dilation, extent));
  }
  convkit::ConvAxis padded_conv = conv;
  padded_conv.padding = axis.padding.before;
  axis.output = convkit::conv_output_size(axis.input, padded_conv);
}

void set_transposed_output(draw::Axis& axis, const std::string& side) {
  const int64_t bound = std::max(axis.stride, axis.dilation);
  if (axis.output_padding >= bound) {
    refuse("--output-padding",
           fmt::format("a {} below {}, the larger one of --stride and --dilation", side, bound),
           std::to_string(axis.output_padding));
  }
  const int64_t uncropped =
      (axis.input - 1) * axis.stride + axis.dilation * (axis.kernel - 1) + 1 + axis.output_padding;
  if (2 * axis.padding.before >= uncropped) {
    refuse("--padding",
           fmt::format("a {} of at most {}, which leaves an output", side, (uncropped - 1) / 2),
           std::to_string(axis.padding.before));
  }
  axis.output = convkit::transposed_output_size(axis.input, {.kernel_size = axis.kernel,
                                                             .stride = axis.stride,
                                                             .padding = axis.padding.before,
                                                             .output_padding = axis.output_padding,
                                                             .dilation = axis.dilation});
}

void check_bounds(const draw::Convolution& c) {
  const draw::Walk down = draw::walk(c.transposed, c.height);
  const draw::Walk across = draw::walk(c.transposed, c.width);
  if (std::max(down.canvas(), across.canvas()) > kMostCells) {
    refuse("--input",
           fmt::format("a picture of at most {} cells a side, {}", kMostCells,
                       c.transposed ? "with what is cropped" : "with the padding"),
           fmt::format("{} x {}", down.canvas(), across.canvas()));
  }
  if (down.steps * across.steps > kMostSteps) {
    refuse("--input",
           fmt::format("at most {} steps, one for each cell of the {}", kMostSteps,
                       c.transposed ? "input" : "output"),
           std::to_string(down.steps * across.steps));
  }
}

draw::Convolution convolution_of(const DrawOptions& options) {
  draw::Convolution c;
  c.transposed = options.kind == "transposed";
  if (!c.transposed && options.output_padding != "0") {
    refuse("--output-padding", "none for conv", cli::printable(options.output_padding));
  }
  if (!c.transposed && options.padding == "same") c.rule = draw::Padding::kSame;
  if (!c.transposed && options.padding == "valid") c.rule = draw::Padding::kValid;
  const auto set = [&](int64_t draw::Axis::* member, const convkit::Size2d& size) {
    c.height.*member = size.height;
    c.width.*member = size.width;
  };
  set(&draw::Axis::input, size_of("--input", options.input, 1));
  set(&draw::Axis::kernel, size_of("--kernel", options.kernel, 1));
  set(&draw::Axis::stride, size_of("--stride", options.stride, 1));
  set(&draw::Axis::dilation, size_of("--dilation", options.dilation, 1));
  set(&draw::Axis::output_padding, size_of("--output-padding", options.output_padding, 0));
  if (c.rule == draw::Padding::kNumbers) {
    const auto padding =
        size_of("--padding", options.padding, 0, c.transposed ? "" : ", or same, or valid");
    c.height.padding = {padding.height, padding.height};
    c.width.padding = {padding.width, padding.width};
  }
  for (auto* axis : {&c.height, &c.width}) {
    const std::string side = axis == &c.height ? "height" : "width";
    if (c.transposed) {
      set_transposed_output(*axis, side);
    } else {
      set_conv_output(*axis, c.rule, side);
    }
  }
  check_bounds(c);
  return c;
}

}  // namespace

namespace {

void add_convolution(CLI::App& draw, Command& chosen, const std::string& kind) {
  const bool transposed = kind == "transposed";
  CLI::App* command = draw.add_subcommand(
      kind, fmt::format("The arithmetic of a {}convolution, animated: at most {} cells a side, {}, "
                        "and {} steps",
                        transposed ? "transposed " : "", kMostCells,
                        transposed ? "with what is cropped" : "with the padding", kMostSteps));
  command->footer(transposed
                      ? "convkit draw transposed --input 4 --kernel 4 --stride 2 --padding 1 "
                        "-o transposed.svg"
                      : "convkit draw conv --input 7 --kernel 3 --stride 2 --padding 1 "
                        "-o conv.svg");
  const auto options = std::make_shared<DrawOptions>();
  options->kind = kind;
  command
      ->add_option("--input", options->input,
                   fmt::format("Its size: like all others a number up to {}, or H,W", kMostNumber))
      ->required();
  command->add_option("--kernel", options->kernel, "The kernel's size")->capture_default_str();
  command->add_option("--stride", options->stride, "The steps' size")->capture_default_str();
  command
      ->add_option("--padding", options->padding,
                   transposed
                       ? "What is cropped at each side"
                       : "At each side; also same (TensorFlow's, for any stride) or valid (none)")
      ->capture_default_str();
  command->add_option("--dilation", options->dilation, "From tap to tap")->capture_default_str();
  command
      ->add_option("--output-padding", options->output_padding,
                   transposed ? "More output, to the right and below" : "")
      ->capture_default_str()
      ->group(transposed ? "OPTIONS" : "");
  command->add_option("-o,--output", options->out, "The SVG to write; replaced when whole")
      ->required();
  command->callback([=, &chosen] {
    chosen = [=] {
      cli::write_file(options->out, draw::picture(convolution_of(*options)));
      return 0;
    };
  });
}

}  // namespace

void add_draw(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand(
      "draw", "Draw a convolution, a network, or what a layer sees of a photograph");
  command->footer("convkit draw network resnet18 -o resnet18.svg");
  add_convolution(*command, chosen, "conv");
  add_convolution(*command, chosen, "transposed");
  add_draw_network(*command, chosen);
  add_draw_field(*command, chosen);
  command->allow_extras();
  command->callback([=] {
    if (!command->get_subcommands().empty()) return;
    const auto words = command->remaining();
    refuse("KIND", "conv, transposed, network or field",
           words.empty() ? "nothing" : cli::printable(words[0]));
  });
}

}  // namespace tool
