#include "compile/onednn/lower_convolution.h"

#include <algorithm>
#include <map>

namespace convkit::detail {

namespace {

/// Part of a tensor [N, C, H, W]: rows of one image.
Slot rows_of(const Slot& slot, int64_t image, int64_t first, int64_t height) {
  Slot result = slot;
  result.sizes[0] = 1;
  result.sizes[2] = height;
  result.offset += image * slot.strides[0] + first * slot.strides[2];
  if (slot.strides[1] == 1) result.strides[0] = height * slot.strides[2];  // or it is not dense
  return result;
}

/// The rows of the input that some rows of the output see, and the padding above and below them.
struct SeenRows {
  int64_t first = 0;
  int64_t height = 0;
  int64_t above = 0;
  int64_t below = 0;
};

SeenRows seen_rows(const Convolution& c, int64_t input_height, int64_t row, int64_t height) {
  const int64_t reach = (c.weight.size(2) - 1) * c.dilation[0];
  const int64_t first = row * c.stride[0] - c.padding[0];
  const int64_t last = (row + height - 1) * c.stride[0] - c.padding[0] + reach;
  SeenRows seen;
  seen.above = std::max<int64_t>(0, -first);
  seen.below = std::max<int64_t>(0, last - input_height + 1);
  seen.first = first + seen.above;
  seen.height = last + 1 - seen.below - seen.first;
  return seen;
}

/// Lowers a convolution piece by piece, each by a primitive for its height and padding.
class RowLowering {
 public:
  RowLowering(Lowering& lowering, const Convolution& c, int64_t most)
      : lowering_(lowering),
        c_(c),
        most_(most),
        x_(lowering.dense(c.input)),
        y_(lowering.memory().new_slot(lowering.sizes(c.output),
                                      row_strides(lowering.sizes(c.output)), torch::kFloat32)),
        explanation_(Lowering::explanation_of(Step(c), y_)) {
    const Sizes piece{1, y_.sizes[1], most, y_.sizes[3]};
    rows_ = lowering.memory().new_slot(piece, channels_last_strides(piece), torch::kFloat32);
    append_rest(post_, c, 4);
    explanation_.what += " by rows";
  }

  void run() {
    for (int64_t image = 0; image < y_.sizes[0]; ++image) {
      for (int64_t row = 0; row < y_.sizes[2]; row += most_) {
        add_piece(image, row, std::min(most_, y_.sizes[2] - row));
      }
    }
    lowering_.memory().set_slot(c_.output, y_);
  }

 private:
  void add_piece(int64_t image, int64_t row, int64_t height) {
    const SeenRows seen = seen_rows(c_, x_.sizes[2], row, height);
    const Slot from = rows_of(x_, image, seen.first, seen.height);
    const Slot to = rows_of(rows_, 0, 0, height);
    const PreparedConvolution& made = prepared(seen, from, to);
    std::vector<Operand> operands = made.constants;
    operands.insert(operands.end(), post_.operands.begin(), post_.operands.end());
    operands.push_back(Lowering::operand(DNNL_ARG_SRC, from));
    operands.push_back(Lowering::operand(DNNL_ARG_DST, to));
    explanation_.how = made.implementation;
    lowering_.add_primitive(made.primitive, made.scratchpad, std::move(operands), explanation_);
    lowering_.add_copy(to, rows_of(y_, image, row, height), "");
    explanation_.what.clear();  // the first piece stands for all
  }

  const PreparedConvolution& prepared(const SeenRows& seen, const Slot& from, const Slot& to) {
    const Sizes key{seen.height, seen.above, seen.below, to.sizes[2]};
    const auto known = prepared_.find(key);
    if (known != prepared_.end()) return known->second;
    return prepared_
        .emplace(key, prepare(c_, torch::kFloat32, desc_of(from), desc_of(to),
                              {seen.above, c_.padding[1]}, {seen.below, padding_after(c_)[1]},
                              attributes_with(post_.ops)))
        .first->second;
  }

  Lowering& lowering_;
  const Convolution& c_;
  int64_t most_;  ///< rows of a piece
  Slot x_;
  Slot y_;
  Slot rows_;
  PostOps post_;
  StepExplanation explanation_;
  std::map<Sizes, PreparedConvolution> prepared_;
};

}  // namespace

bool lower_by_rows(Lowering& lowering, const Convolution& c) {
  // Bytes of a piece: for each thread half of its core's second cache, which may have 512 KiB.
  const int64_t cache = int64_t{256} * 1024 * lowering.threads();
  const Sizes& sizes = lowering.sizes(c.output);
  const int64_t row_bytes = sizes[1] * sizes[3] * static_cast<int64_t>(sizeof(float));
  const bool nothing_but_padding =
      std::max(c.padding[0], padding_after(c)[0]) > (c.weight.size(2) - 1) * c.dilation[0];
  if (lowering.options().memory_format != torch::MemoryFormat::Contiguous ||
      !lowering.memory().is_output_alone(c.output) || !transposes_on(lowering.threads()) ||
      c.transposed || c.added >= 0 || lowering.memory().dtype() != torch::kFloat32 ||
      nothing_but_padding || row_bytes * sizes[2] < 4 * cache || row_bytes > cache) {
    return false;
  }
  RowLowering(lowering, c, std::min(sizes[2], cache / row_bytes)).run();
  return true;
}

}  // namespace convkit::detail
