// Shows a summary as text and as JSON.
#include <convkit/summary.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace convkit {

namespace {

using nlohmann::ordered_json;

std::string with_commas(int64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

/// Writes "[1, 3, 8, 8]", or "[1, 3, 8, 8] + 5 more": a decoder that takes all maps of an encoder
/// would make every line as long as its own.
std::string sizes_text(const std::vector<std::vector<int64_t>>& sizes) {
  if (sizes.empty()) return "-";
  std::string text = c10::str(torch::IntArrayRef(sizes[0]));
  if (sizes.size() == 2) text += " " + c10::str(torch::IntArrayRef(sizes[1]));
  if (sizes.size() > 2) text += " + " + std::to_string(sizes.size() - 1) + " more";
  return text;
}

std::string megabytes(int64_t bytes) {
  const int64_t hundredths = (bytes + 5000) / 10000;
  const std::string rest = std::to_string(hundredths % 100);
  std::string text = with_commas(hundredths / 100);
  text += rest.size() == 1 ? ".0" : ".";
  return text + rest + " MB";
}

/// Counts the characters of a text, not its bytes: the lines of the tree have three bytes each.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

/// Writes "11 / 4 / -5", or "11x3 / 4x1 / -5x0" where the axes differ.
std::string field_text(const SummaryRow& row) {
  if (!row.receptive_field) return "-";
  const auto& [height, width] = *row.receptive_field;
  const auto both = [](int64_t a, int64_t b) {
    return a == b ? std::to_string(a) : std::to_string(a) + "x" + std::to_string(b);
  };
  return both(height.size, width.size) + " / " + both(height.jump, width.jump) + " / " +
         both(height.start, width.start);
}

ordered_json field_json(const SummaryRow& row) {
  if (!row.receptive_field) return nullptr;
  const auto& [height, width] = *row.receptive_field;
  return {{"size", {height.size, width.size}},
          {"stride", {height.jump, width.jump}},
          {"start", {height.start, width.start}}};
}

using Line = std::array<std::string, 6>;

/// Gives the rows of `depth` levels below the outermost module, or all rows.
std::vector<SummaryRow> down_to(const std::vector<SummaryRow>& rows, int64_t depth) {
  std::vector<SummaryRow> shown = rows;
  if (depth >= 0) std::erase_if(shown, [=](const auto& row) { return row.depth > depth; });
  return shown;
}

/// Draws the part of the tree that stands to the left of each row.
std::vector<std::string> branches_of(const std::vector<SummaryRow>& rows) {
  std::vector<std::string> branches(rows.size());
  std::vector<bool> more;  // by depth: whether a later row is on that level of the same parent
  for (std::size_t i = rows.size(); i-- > 0;) {
    const auto own = static_cast<std::size_t>(rows[i].depth);
    more.resize(own + 1, false);
    for (std::size_t depth = 1; depth <= own; ++depth) {
      branches[i] += depth < own ? (more[depth] ? "│ " : "  ") : (more[depth] ? "├─" : "└─");
    }
    more[own] = true;
  }
  return branches;
}

Line line_of(const SummaryRow& row, std::string tree) {
  const std::string name = row.path.substr(row.path.rfind('.') + 1);
  if (!name.empty()) tree.append(name).append(" ");
  tree.append(row.type);
  if (row.inferred) tree.append(" *");
  return {tree,
          sizes_text(row.input_sizes),
          sizes_text(row.output_sizes),
          row.parameters > 0 ? with_commas(row.parameters) : "-",
          row.macs > 0 ? with_commas(row.macs) : "-",
          field_text(row)};
}

}  // namespace

std::string Summary::text(int64_t depth) const {
  std::vector<Line> lines = {
      {"module", "input", "output", "parameters", "MACs", "receptive field"}};
  bool inferred = false;
  const std::vector<SummaryRow> shown = down_to(rows, depth);
  const std::vector<std::string> branches = branches_of(shown);
  for (std::size_t i = 0; i < shown.size(); ++i) {
    lines.push_back(line_of(shown[i], branches[i]));
    inferred = inferred || shown[i].inferred;
  }
  std::array<std::size_t, 6> widths{};
  for (const Line& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width(line[i]));
  }
  std::string result;
  for (const Line& line : lines) {
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string space(widths[i] - width(line[i]), ' ');
      const bool number = i >= 3;
      text += (i == 0 ? "" : "  ") + (number ? space + line[i] : line[i] + space);
    }
    result += text + "\n";
  }
  result += "\nparameters   " + with_commas(parameters) + " (" + with_commas(trainable) +
            " trainable), " + megabytes(parameter_bytes) + "\n";
  result += "buffers      " + with_commas(buffers) + "\n";
  result += "MACs         " + with_commas(macs) +
            ", of convolutions and matrix products: half of FlopCounterMode's flops\n";
  result += "activations  " + megabytes(activation_bytes) + ", of an input of " +
            megabytes(input_bytes) + "\n";
  result += "receptive field: size / stride / start, in pixels of the input\n";
  if (inferred) result += "* by the type and order of its operator\n";
  return result;
}

std::ostream& operator<<(std::ostream& stream, const Summary& summary) {
  return stream << summary.text();
}

std::string Summary::json(int64_t depth) const {
  ordered_json layers = ordered_json::array();
  for (const SummaryRow& row : down_to(rows, depth)) {
    layers.push_back({{"path", row.path},
                      {"type", row.type},
                      {"depth", row.depth},
                      {"input", row.input_sizes},
                      {"output", row.output_sizes},
                      {"dtype", row.dtype},
                      {"calls", row.calls},
                      {"parameters", row.parameters},
                      {"trainable", row.trainable},
                      {"buffers", row.buffers},
                      {"macs", row.macs},
                      {"activation_bytes", row.activation_bytes},
                      {"receptive_field", field_json(row)},
                      {"inferred", row.inferred}});
  }
  const ordered_json result = {{"parameters", parameters},
                               {"trainable", trainable},
                               {"buffers", buffers},
                               {"macs", macs},
                               {"input_bytes", input_bytes},
                               {"parameter_bytes", parameter_bytes},
                               {"activation_bytes", activation_bytes},
                               {"layers", layers}};
  return result.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace convkit
