#include "compile/engines/plain.h"

namespace convkit::detail {

namespace {

/// Whether anybody else has a tensor or its memory: another output, the module, or whoever lent that memory
/// (from_blob), which then has no allocator.
bool is_shared(const torch::Tensor& tensor) {
  if (tensor.use_count() > 1 || !tensor.has_storage()) return true;
  return tensor.storage().use_count() > 1 || tensor.storage().allocator() == nullptr;
}

class PlainEngine : public Engine {
 public:
  PlainEngine(Forward forward, std::string why)
      : forward_(std::move(forward)), why_(std::move(why)) {}

  Tensors run(const Tensors& inputs, const Watch*) override {
    Tensors outputs = forward_(copies(inputs));
    for (torch::Tensor& output : outputs) {
      if (output.defined() && is_shared(output)) output = output.clone();
    }
    return outputs;
  }

  void explain(PlanExplanation& plan) const override {
    plan.engine = "the plain module";
    plan.remarks.push_back(why_);
  }

 private:
  Forward forward_;
  std::string why_;
};

}  // namespace

std::unique_ptr<Engine> make_plain_engine(Forward forward, std::string why) {
  return std::make_unique<PlainEngine>(std::move(forward), std::move(why));
}

}  // namespace convkit::detail
