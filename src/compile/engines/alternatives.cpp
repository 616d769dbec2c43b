#include "compile/engines/alternatives.h"

#include "compile/engines/winograd.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace convkit::detail {

namespace {

const std::vector<std::pair<Alternative, std::string>>& names() {
  static const std::vector<std::pair<Alternative, std::string>> all = {
      {Alternative::kChannelsLast, "channels_last"},
      {Alternative::kBlocked, "blocked"},
      {Alternative::kProduct, "product"},
      {Alternative::kTurned, "turned"},
      {Alternative::kWinograd2, "winograd 2x2"},
      {Alternative::kWinograd4, "winograd 4x4"},
      {Alternative::kWinograd6, "winograd 6x6"},
      {Alternative::kLibTorch, "LibTorch"},
  };
  return all;
}

/// "1x3x8x8".
std::string joined(const Sizes& sizes) {
  std::string text;
  for (const int64_t size : sizes) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

std::string kind_of(bool transposed) {
  return transposed ? "conv_transpose2d " : "conv2d ";
}

/// All whole numbers in a text, up to one that is too large.
Sizes numbers_in(std::string_view text) {
  Sizes numbers;
  while (true) {
    text.remove_prefix(std::min(text.find_first_of("0123456789"), text.size()));
    if (text.empty()) return numbers;
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return numbers;
    numbers.push_back(number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  }
}

/// The pixels of an image, or `most` if it has more. A key may name any size: nothing overflows.
int64_t pixels(const Sizes& image, int64_t most) {
  return std::min(most, std::min(most, image[2]) * std::min(most, image[3]));
}

std::string names_of(const Geometry& geometry) {
  std::string text;
  for (const Alternative alternative : alternatives_of(geometry)) {
    text += (text.empty() ? "" : ", ") + name_of(alternative);
  }
  return text;
}

}  // namespace

std::string name_of(Alternative alternative) {
  const auto found = std::find_if(names().begin(), names().end(),
                                  [&](const auto& entry) { return entry.first == alternative; });
  return found->second;
}

int64_t tile_of(Alternative alternative) {
  for (const int64_t tile : {2, 4, 6}) {
    if (winograd_of(tile) == alternative) return tile;
  }
  return 0;
}

std::optional<Alternative> winograd_of(int64_t tile) {
  switch (tile) {
    case 2:
      return Alternative::kWinograd2;
    case 4:
      return Alternative::kWinograd4;
    case 6:
      return Alternative::kWinograd6;
    default:
      return std::nullopt;
  }
}

Geometry Geometry::of(const Convolution& c, const Sizes& input, const Sizes& output) {
  Geometry result;
  result.transposed = c.transposed;
  result.input = input;
  result.output = output;
  result.kernel = {c.weight.size(2), c.weight.size(3)};
  result.stride = c.stride;
  result.before = c.padding;
  result.after = padding_after(c);
  result.dilation = c.dilation;
  result.groups = c.groups;
  return result;
}

std::optional<Geometry> Geometry::read(const std::string& key) {
  Geometry result;
  result.transposed = key.starts_with(kind_of(true));
  const std::string kind = kind_of(result.transposed);
  if (!key.starts_with(kind)) return std::nullopt;
  Sizes numbers = numbers_in(std::string_view(key).substr(kind.size()));
  if (numbers.size() != 19) return std::nullopt;
  auto next = numbers.begin();
  const auto take = [&](Sizes& sizes, int64_t count) {
    sizes.assign(next, next + count);
    next += count;
  };
  take(result.input, 4);
  take(result.output, 4);
  for (Sizes* pair :
       {&result.kernel, &result.stride, &result.before, &result.after, &result.dilation}) {
    take(*pair, 2);
  }
  result.groups = *next;
  // What else the text says, or leaves out, the key of its numbers tells.
  if (result.key() != key) return std::nullopt;
  return result;
}

std::string Geometry::key() const {
  return kind_of(transposed) + joined(input) + " to " + joined(output) + " kernel " +
         joined(kernel) + " stride " + joined(stride) + " padding " + joined(before) + " " +
         joined(after) + " dilation " + joined(dilation) + " groups " + std::to_string(groups);
}

bool Geometry::is_pointwise() const {
  const Sizes none{0, 0};
  const Sizes one{1, 1};
  return !transposed && groups == 1 && kernel == one && stride == one && before == none &&
         after == none;
}

bool Geometry::sees_all() const {
  constexpr int64_t most = 257;
  const int64_t pairs = pixels(input, most) * pixels(output, most);
  const int64_t area = std::min(most, kernel[0]) * std::min(most, kernel[1]);
  return groups == 1 && pairs < most && pairs <= 2 * area;
}

bool Geometry::has_tiles() const {
  const Sizes one{1, 1};
  return !transposed && groups == 1 && stride == one && dilation == one && kernel[0] == kernel[1] &&
         !winograd::tiles_of(kernel[0]).empty();
}

int64_t Geometry::tiles(int64_t tile) const {
  return output[0] * ((output[2] + tile - 1) / tile) * ((output[3] + tile - 1) / tile);
}

int64_t Geometry::multiplications() const {
  const int64_t of_each = kernel[0] * kernel[1] / std::max<int64_t>(groups, 1);
  return transposed ? element_count(input) * output[1] * of_each
                    : element_count(output) * input[1] * of_each;
}

std::vector<Alternative> alternatives_of(const Geometry& geometry) {
  std::vector<Alternative> result{Alternative::kChannelsLast, Alternative::kBlocked};
  if (geometry.is_pointwise() || geometry.sees_all()) result.push_back(Alternative::kProduct);
  if (std::max(pixels(geometry.input, 2), pixels(geometry.output, 2)) > 1) {
    result.push_back(Alternative::kTurned);
  }
  if (geometry.has_tiles()) {
    for (const int64_t tile : winograd::tiles_of(geometry.kernel[0])) {
      result.push_back(winograd_of(tile).value());
    }
  }
  result.push_back(Alternative::kLibTorch);
  return result;
}

std::optional<Alternative> alternative_of(const Geometry& geometry, std::string_view name) {
  for (const Alternative alternative : alternatives_of(geometry)) {
    if (name_of(alternative) == name) return alternative;
  }
  return std::nullopt;
}

void check_choices(const std::map<std::string, std::string>& choices) {
  for (const auto& [key, name] : choices) {
    const std::optional<Geometry> geometry = Geometry::read(key);
    TORCH_CHECK_VALUE(
        geometry, "compile: expected keys of choices as explain() gives them, such as \"",
        Geometry{false, {1, 3, 8, 8}, {1, 4, 6, 6}, {3, 3}}.key(), "\", got \"", key, "\"");
    TORCH_CHECK_VALUE(alternative_of(*geometry, name), "compile: expected choices[\"", key,
                      "\"] to be one of ", names_of(*geometry), ", got \"", name, "\"");
  }
}

}  // namespace convkit::detail
