// Shows a comparison as text and as JSON.
#include <convkit/compare.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>

namespace convkit {

namespace {

using nlohmann::ordered_json;
using Row = ComparisonRow;

std::string status_name(Row::Status status) {
  constexpr std::array names{"equal", "different", "dead", "not compared"};
  return names.at(static_cast<std::size_t>(status));
}

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g", value);
  return text.data();
}

/// Writes a relative difference; NaN becomes "inf", since it is beyond all tolerances.
std::string ratio(double value) {
  return number(std::isnan(value) ? std::numeric_limits<double>::infinity() : value);
}

/// Writes a share in percent, with three digits, or with as many as it takes to tell less than all
/// from all.
std::string percent(double share) {
  std::array<char, 32> text{};
  for (int digits = 3; digits <= 17; ++digits) {
    std::snprintf(text.data(), text.size(), "%.*g", digits, 100 * share);
    if (share >= 1 || std::strtod(text.data(), nullptr) < 100) break;
  }
  return text.data();
}

/// Says by how much a row differs, or why there are no numbers.
std::string details(const Row& row) {
  const Difference& found = row.difference;
  std::string text;
  if (!found.equal && found.explanation.empty() && found.max_absolute > 0) {
    text = "up to " + number(found.max_absolute);
    if (!found.where.empty()) text += " at " + c10::str(torch::IntArrayRef(found.where));
    text += ", relative " + ratio(found.max_relative);
    if (found.max_ulps > 0) text += ", " + std::to_string(found.max_ulps) + " ULP";
    text += ", " + percent(found.equal_share) + " % equal";
  }
  if (row.status == Row::kDead) text = "all the same number: proves nothing";
  if (!row.reason.empty()) text += (text.empty() ? "" : "; ") + row.reason;
  return text;
}

/// Replaces the characters that a terminal would obey: the text comes from a file.
std::string plain(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return text;
}

std::string label(const Row& row) {
  std::string text = row.path.empty() ? "(outermost)" : plain(row.path);
  if (row.call > 0) text += "#" + std::to_string(row.call);
  if (!row.output.empty()) text += "/" + plain(row.output);
  return text;
}

void add_rows(std::string& text, const std::vector<Row>& rows, bool all) {
  std::size_t widest = 0;
  std::size_t widest_type = 0;
  const auto shown = [all](const Row& row) {
    return all || row.status == Row::kDifferent || row.status == Row::kNotCompared;
  };
  for (const Row& row : rows) {
    if (!shown(row)) continue;
    widest = std::max(widest, label(row).size());
    widest_type = std::max(widest_type, row.type.size());
  }
  for (const Row& row : rows) {
    if (!shown(row)) continue;
    std::string line = "  " + label(row);
    line.resize(std::max(line.size(), widest + 2), ' ');
    line += "  " + plain(row.type);
    line.resize(std::max(line.size(), widest + widest_type + 4), ' ');
    line += "  " + std::string(status_name(row.status));
    const std::string rest = details(row);
    text += line + (rest.empty() ? "" : ": " + rest) + "\n";
  }
}

std::string counts(const std::vector<Row>& rows) {
  std::array<int64_t, 4> numbers{};
  for (const Row& row : rows) ++numbers.at(static_cast<std::size_t>(row.status));
  std::string text = std::to_string(numbers[0]) + " of " + std::to_string(rows.size()) + " equal";
  for (std::size_t i = 1; i < numbers.size(); ++i) {
    if (numbers[i] > 0) {
      text += ", " + std::to_string(numbers[i]) + " " + status_name(static_cast<Row::Status>(i));
    }
  }
  return text;
}

ordered_json finite(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : "inf";
}

ordered_json to_json(const Row& row) {
  const Difference& found = row.difference;
  ordered_json result = {{"path", row.path}, {"call", row.call}};
  if (!row.output.empty()) result["output"] = row.output;
  result["type"] = row.type;
  result["status"] = status_name(row.status);
  if (!row.reason.empty()) result["reason"] = row.reason;
  if (row.status != Row::kNotCompared) {
    result["bits_equal"] = found.equal;
  }
  if (row.status != Row::kNotCompared && found.explanation.empty()) {
    result["max_absolute"] = finite(found.max_absolute);
    result["max_relative"] = finite(found.max_relative);
    result["relative_to_scale"] = finite(found.relative_to_scale);
    result["max_ulps"] = found.max_ulps;
    result["equal_share"] = finite(found.equal_share);
    result["where"] = found.where;
  }
  return result;
}

ordered_json to_json(const std::vector<Row>& rows) {
  ordered_json result = ordered_json::array();
  for (const Row& row : rows) result.push_back(to_json(row));
  return result;
}

/// Says what is known of a module that has no difference, but is not equal either.
std::string what_is_proven(const Comparison& comparison) {
  const auto has = [](Row::Status status) {
    return [=](const Row& row) { return row.status == status; };
  };
  const auto& whole = comparison.end_to_end;
  if (std::ranges::all_of(whole, has(Row::kEqual))) {
    return "equal, but for the training step, which was not compared";
  }
  const auto dead = std::ranges::find_if(whole, has(Row::kDead));
  if (dead != whole.end()) {
    return "nothing is proven" + (dead->output.empty() ? "" : " of " + plain(dead->output));
  }
  if (std::ranges::any_of(comparison.layers, has(Row::kEqual))) {
    return "no layer differs, but the module as a whole was not compared";
  }
  return "nothing was compared";
}

}  // namespace

std::string Comparison::text(bool all) const {
  std::string result;
  for (const std::string& note : notes) result += "note: " + plain(note) + "\n";
  if (!keys.empty()) {
    result += "the weights do not fit, and nothing was compared:\n";
    for (const std::string& key : keys) result += "  " + plain(key) + "\n";
  } else {
    result += "layers: " + counts(layers) + "\n";
    add_rows(result, layers, all);
    result += "end to end: ";
    if (end_to_end.size() == 1) {
      const std::string rest = details(end_to_end[0]);
      result += status_name(end_to_end[0].status) + (rest.empty() ? "" : ": " + rest) + "\n";
    } else {
      result += counts(end_to_end) + "\n";
      add_rows(result, end_to_end, all);
    }
    if (!training.empty()) {
      result += "training step: " + counts(training) + "\n";
      add_rows(result, training, all);
    }
  }
  if (!initialisation.empty()) {
    result += "fresh weights: " + std::to_string(initialisation.size()) +
              " are not what the seed gave Python, the first is " + initialisation.front() + "\n";
  }
  if (equal) {
    const auto missing = std::count_if(layers.begin(), layers.end(), [](const Row& row) {
      return row.status == Row::kNotCompared;
    });
    if (missing == 0) return result + "equal\n";
    return result + "equal, as far as it was compared\n";
  }
  if (!first_difference) return result + what_is_proven(*this) + "\n";
  result += keys.empty() ? "different" : "the weights do not fit";
  return result + ", first in " +
         (first_difference->empty() ? "the outermost module" : plain(*first_difference)) + "\n";
}

std::ostream& operator<<(std::ostream& stream, const Comparison& comparison) {
  return stream << comparison.text();
}

std::string Comparison::json() const {
  ordered_json result = {{"equal", equal}, {"first_difference", nullptr}};
  if (first_difference) result["first_difference"] = *first_difference;
  result["keys"] = keys;
  result["initialisation"] = initialisation;
  result["notes"] = notes;
  result["end_to_end"] = to_json(end_to_end);
  result["layers"] = to_json(layers);
  result["training"] = to_json(training);
  return result.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace convkit
