#include "compile/onednn/lower_convolution.h"

namespace convkit::detail {

namespace {

using dnnl::memory;

/// What a primitive takes: a place of the plan, or a copy in the layout that it asks for.
class BlockedOperands {
 public:
  explicit BlockedOperands(Lowering& lowering) : lowering_(lowering) {}

  void add_input(int name, const Slot& place, const memory::desc& asked) {
    if (asked == desc_of(place)) {
      operands_.push_back(Lowering::operand(name, place));
      return;
    }
    operands_.push_back(in_new_memory(name, asked));
    add_copy(Lowering::operand(DNNL_ARG_FROM, place), named(operands_.back(), DNNL_ARG_TO));
  }

  /// Where the primitive writes; copy_output() comes after it.
  void add_output(const Slot& place, const memory::desc& asked) {
    output_ = place;
    const bool fits = asked == desc_of(place);
    operands_.push_back(fits ? Lowering::operand(DNNL_ARG_DST, place)
                             : in_new_memory(DNNL_ARG_DST, asked));
    written_ = operands_.back();
  }

  void copy_output() {
    if (written_.desc == desc_of(output_)) return;
    add_copy(named(written_, DNNL_ARG_FROM), Lowering::operand(DNNL_ARG_TO, output_));
  }

  [[nodiscard]] const std::vector<Operand>& all() const { return operands_; }

 private:
  /// Memory in a layout that has no strides.
  Operand in_new_memory(int name, const memory::desc& desc) {
    Operand result;
    result.name = name;
    result.desc = desc;
    result.buffer =
        lowering_.memory().new_buffer(Buffer::Kind::kArena, static_cast<int64_t>(desc.get_size()));
    return result;
  }

  static Operand named(Operand operand, int name) {
    operand.name = name;
    return operand;
  }

  /// Copies stand in the explanation with the convolution.
  void add_copy(Operand from, Operand to) {
    const dnnl::reorder::primitive_desc descriptor(cpu_engine(), from.desc, cpu_engine(), to.desc,
                                                   attributes());
    lowering_.add_primitive(dnnl::reorder(descriptor), descriptor.scratchpad_desc(),
                            {std::move(from), std::move(to)}, {});
  }

  Lowering& lowering_;
  std::vector<Operand> operands_;
  Operand written_;
  Slot output_;
};

}  // namespace

void lower_blocked(Lowering& lowering, const Convolution& c) {
  const torch::Dtype dtype = lowering.memory().dtype();
  const auto any = [&](const Slot& place) {
    return memory::desc(place.sizes, type_of(dtype), memory::format_tag::any);
  };
  const Slot x = lowering.dense(c.input);
  const Slot y = lowering.memory().new_slot(c.output);
  BlockedOperands operands(lowering);
  PostOps post;
  if (c.added >= 0) {  // it is read where it is: an image in another layout cannot be added to it
    const Slot added = lowering.dense(c.added);
    post.ops.append_binary(dnnl::algorithm::binary_add, desc_of(added));
    operands.add_input(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, added, desc_of(added));
  }
  append_rest(post, c, y.sizes.size());
  const PreparedConvolution made =
      prepare(c, dtype, any(x), any(y), c.padding, right_padding(c), attributes_with(post.ops));
  operands.add_input(DNNL_ARG_SRC, x, made.x);
  operands.add_output(y, made.y);
  std::vector<Operand> all = operands.all();
  all.insert(all.end(), post.operands.begin(), post.operands.end());
  all.insert(all.end(), made.constants.begin(), made.constants.end());
  StepExplanation explanation = Lowering::explanation_of(Step(c), y);
  const bool blocked = made.x != desc_of(x) || made.y != desc_of(y);
  explanation.how = made.implementation + (blocked ? ", blocked" : "");
  lowering.add_primitive(made.primitive, made.scratchpad, std::move(all), std::move(explanation));
  operands.copy_output();
  lowering.memory().set_slot(c.output, y);
}

}  // namespace convkit::detail
