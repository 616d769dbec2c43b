#include "compare/rows.h"

#include "files/file.h"

#include <cstddef>

namespace convkit::detail {

namespace {

using Row = ComparisonRow;

/// Says what differs in bits at `where`, although all values are equal.
std::string bits_that_differ(const torch::Tensor& expected, const std::vector<int64_t>& where) {
  torch::Tensor element = expected.detach();
  for (const int64_t i : where) element = element[i];
  return c10::str("differs in ",
                  element.isnan().item<bool>() ? "the bits of a NaN" : "the sign of a zero", " at ",
                  torch::IntArrayRef(where));
}

std::string names_of(const Recording::Tensors& tensors) {
  std::string names;
  for (const auto& [name, tensor] : tensors) names += (names.empty() ? "" : ", ") + shown(name);
  return names;
}

}  // namespace

void fail(Row& row, const std::string& reason) {
  row.status = Row::kDifferent;
  row.reason = reason;
  row.difference.explanation = reason;
}

void judge(Row& row, const torch::Tensor& ours, const torch::Tensor& expected, double tolerance) {
  row.difference = difference(ours, expected);
  const Difference& found = row.difference;
  const bool close = found.equal || (found.explanation.empty() &&
                                     found.relative_to_scale <= tolerance && tolerance > 0);
  row.status = close ? Row::kEqual : Row::kDifferent;
  // Expected values that are all the same prove nothing if ours are equal; if not, they do.
  if (close && !found.alive) row.status = Row::kDead;
  row.reason = found.explanation;
  if (!found.equal && found.explanation.empty() && found.max_absolute == 0) {
    row.reason = bits_that_differ(expected, found.where);
  }
}

Rows judged(const ComparisonRow& head, const std::vector<torch::Tensor>& ours,
            const Recording::Tensors& expected, double tolerance) {
  Rows rows(1, head);
  if (ours.size() != expected.size()) {
    fail(rows[0], c10::str("it gives ", ours.size(), " tensor(s), recorded are ", expected.size(),
                           expected.size() > 1 ? ": " + names_of(expected) : ""));
    return rows;
  }
  if (expected.empty()) rows[0].reason = "the recording has no tensor that it gives";
  if (expected.size() > 1) rows.assign(expected.size(), head);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (expected.size() > 1) rows[i].output = expected[i].first;
    if (!ours[i].defined()) {
      fail(rows[i], "it gives an undefined tensor");
      continue;
    }
    judge(rows[i], ours[i], expected[i].second, tolerance);
    if (rows[i].status != Row::kDifferent) continue;
    for (const auto& [name, other] : expected) {
      const Difference found = difference(ours[i], other);
      if (!found.equal || !found.alive) continue;
      const std::string separator = rows[i].reason.empty() ? "" : "; ";
      rows[i].reason += separator + "it is what was recorded as " + shown(name);
      break;
    }
  }
  return rows;
}

}  // namespace convkit::detail
