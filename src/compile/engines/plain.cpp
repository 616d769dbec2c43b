#include "compile/engines/plain.h"

namespace convkit::detail {

namespace {

class PlainEngine : public Engine {
 public:
  PlainEngine(Forward forward, std::string why)
      : forward_(std::move(forward)), why_(std::move(why)) {}

  Tensors run(const Tensors& inputs, const Watch*) override { return forward_(copies(inputs)); }

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
