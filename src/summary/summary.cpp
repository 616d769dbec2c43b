#include <convkit/summary.h>

#include "summary/collector.h"
#include "watch/scopes.h"

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace convkit {

namespace {

using Module = torch::nn::Module;

/// Makes the rows of a summary: first each with the numbers of its module alone, then with those of
/// its parts added. A tensor that stands at several places counts once in each module that has it.
class RowMaker {
 public:
  RowMaker(const detail::ForwardRecord& record, Summary& summary)
      : record_(record), summary_(summary), rows_(summary.rows) {}

  void make(const Module& module) {
    add(module, "", 0, 0);
    for (std::size_t i = rows_.size(); i-- > 0;) {
      SummaryRow& row = rows_[i];
      // A container's output is that of what is in it.
      if (row.activation_bytes == 0) row.activation_bytes = output_bytes_[i];
      if (i == 0) break;
      SummaryRow& outer = rows_[parents_[i]];
      outer.parameters += row.parameters;
      outer.trainable += row.trainable;
      outer.buffers += row.buffers;
      outer.macs += row.macs;
      outer.activation_bytes += row.activation_bytes;
    }
  }

 private:
  using Places = std::map<const void*, std::size_t>;  ///< the last row of each tensor

  void add(const Module& module, const std::string& path, int64_t depth, std::size_t parent) {
    const detail::ModuleRecord& seen = record_.modules.at(&module);
    const std::size_t place = rows_.size();
    const bool first =
        done_.insert(&module).second;  // what stands here twice has run once for both
    SummaryRow& row = rows_.emplace_back();
    row.path = path;
    row.type = seen.type;
    row.depth = depth;
    row.input_sizes = seen.inputs;
    row.output_sizes = seen.outputs;
    row.receptive_field = seen.field;
    row.dtype = seen.dtype;
    row.calls = seen.calls;
    row.inferred = seen.inferred;
    row.macs = first ? seen.macs : 0;
    output_bytes_.push_back(first ? seen.output_bytes : 0);
    parents_.push_back(parent);
    for (const auto& entry : module.named_parameters(/*recurse=*/false)) {
      const torch::Tensor& tensor = entry.value();
      if (!tensor.defined()) continue;
      if (!parameters_.contains(tensor.unsafeGetTensorImpl())) {
        summary_.parameter_bytes += static_cast<int64_t>(tensor.nbytes());
      }
      if (tensor.requires_grad()) count(tensor, place, trainable_, &SummaryRow::trainable);
      count(tensor, place, parameters_, &SummaryRow::parameters);
    }
    for (const auto& entry : module.named_buffers(/*recurse=*/false)) {
      if (entry.value().defined()) count(entry.value(), place, buffers_, &SummaryRow::buffers);
    }
    for (const auto& child : module.named_children()) {
      add(*child.value(), path.empty() ? child.key() : path + "." + child.key(), depth + 1, place);
    }
  }

  /// Adds the elements of a tensor to a row. If an earlier row has the tensor too, it subtracts
  /// them from the innermost module that holds both rows, which would have them twice.
  void count(const torch::Tensor& tensor, std::size_t place, Places& places,
             int64_t SummaryRow::* number) {
    rows_[place].*number += tensor.numel();
    const auto [entry, added] = places.try_emplace(tensor.unsafeGetTensorImpl(), place);
    if (added) return;
    std::size_t other = std::exchange(entry->second, place);
    while (other != place) {
      std::size_t& inner = other > place ? other : place;
      inner = parents_[inner];
    }
    rows_[place].*number -= tensor.numel();
  }

  const detail::ForwardRecord& record_;
  Summary& summary_;
  std::vector<SummaryRow>& rows_;
  std::vector<std::size_t> parents_;   ///< the row of the module that each row's is in
  std::vector<int64_t> output_bytes_;  ///< of each row's module itself
  std::set<const Module*> done_;
  Places parameters_;
  Places trainable_;
  Places buffers_;
};

Summary summarized(Module& module, const std::function<void()>& forward) {
  const torch::NoGradGuard no_grad;
  const detail::EvalMode eval(module);
  const detail::KeepBuffers buffers(module);
  const detail::KeepRandomState random;
  const detail::ForwardRecord record = detail::watched(module, forward);
  Summary summary;
  RowMaker(record, summary).make(module);
  const SummaryRow& whole = summary.rows.front();
  summary.parameters = whole.parameters;
  summary.trainable = whole.trainable;
  summary.buffers = whole.buffers;
  summary.macs = whole.macs;
  summary.input_bytes = record.input_bytes;
  summary.activation_bytes = whole.activation_bytes;
  return summary;
}

}  // namespace

Summary summarize(Module& module, const torch::Tensor& input) {
  return summarized(module, [&] { forward_child(module, input.clone()); });
}

Summary summarize(Module& module, const std::function<void()>& forward) {
  return summarized(module, forward);
}

}  // namespace convkit
