#include "compile/plan/paddings.h"

#include <algorithm>
#include <limits>
#include <set>

namespace convkit::detail {

namespace {

class PaddingTaker {
 public:
  explicit PaddingTaker(Graph& graph) : graph_(graph), links_(graph.links()) {}

  void run() {
    std::set<std::size_t> gone;
    for (Step& step : graph_.steps) {
      const std::size_t place = padding_before(step);
      if (place == graph_.steps.size()) continue;
      std::optional<Step> taken = with_padding(step, std::get<Operation>(graph_.steps[place]));
      if (!taken) continue;
      step = std::move(*taken);
      gone.insert(place);
      graph_.note("took a padding into the step after it");
    }
    std::size_t next = 0;
    std::erase_if(graph_.steps, [&](const Step&) { return gone.contains(next++); });
  }

 private:
  /// The step that makes a convolution's or a pooling's input, if nothing else uses that.
  std::size_t padding_before(const Step& step) const {
    const std::size_t none = graph_.steps.size();
    if (inputs_of(step).empty() || first_input(step) < 0) return none;
    const auto input = static_cast<std::size_t>(first_input(step));
    const std::size_t place = links_.makers.at(input);
    if (links_.uses.at(input) != 1 || place == none) return none;
    const auto* pad = std::get_if<Operation>(&graph_.steps[place]);
    if (pad == nullptr || pad->outputs.size() != 1) return none;
    const int64_t from = tensor_argument(*pad, 0);
    const bool whole = from >= 0 && !graph_.is_constant(from) && graph_.is_pure(from) &&
                       graph_.is_pure(pad->outputs[0]) && graph_.value(from).sizes.size() == 4 &&
                       graph_.value(from).dtype == torch::kFloat32;
    return whole ? place : none;
  }

  std::optional<Step> with_padding(const Step& step, const Operation& pad) const {
    const auto padding = constant_padding_of(pad);
    if (!padding) return std::nullopt;
    if (const auto* convolution = std::get_if<Convolution>(&step)) {
      return in_convolution(*convolution, *padding, tensor_argument(pad, 0));
    }
    const auto* pool = std::get_if<Operation>(&step);
    return pool == nullptr ? std::nullopt : in_pool(*pool, *padding, pad);
  }

  static std::optional<Step> in_convolution(const Convolution& convolution,
                                            const ConstantPadding& padding, int64_t input) {
    if (padding.number != 0 || convolution.transposed || convolution.linear) return std::nullopt;
    Convolution result = convolution;
    result.input = input;
    for (std::size_t i = 0; i < 2; ++i) {
      result.padding[i] += padding.before[i];
      result.extra_padding[i] += padding.after[i] - padding.before[i];
    }
    return result;
  }

  std::optional<Step> in_pool(const Operation& pool, const ConstantPadding& padding,
                              const Operation& pad) const {
    if (pool.outputs.size() != 1 || !graph_.is_pure(pool.outputs[0])) return std::nullopt;
    const std::string name = plain_name(pool);
    const bool exact = name == "max_pool2d"   ? is_never_the_maximum(padding, pad, pool)
                       : name == "avg_pool2d" ? is_counted(padding, pool)
                                              : false;
    if (!exact) return std::nullopt;
    return PaddedPool{tensor_argument(pad, 0), pool.outputs[0], pad, pool,
                      padding.before,          padding.after};
  }

  /// Whether max pooling gives the same where there is nothing instead of the padding: each window has a
  /// number of the image, and none of them is smaller.
  bool is_never_the_maximum(const ConstantPadding& padding, const Operation& pad,
                            const Operation& pool) const {
    for (std::size_t i = 0; i < 2; ++i) {
      const int64_t kernel = number_at(pool.arguments[1], i);
      const int64_t own = number_at(pool.arguments[3], i);
      if (padding.before[i] + own >= kernel || padding.after[i] + own >= kernel ||
          number_at(pool.arguments[4], i) != 1 || pool.arguments[5].constant.toBool()) {
        return false;
      }
    }
    const bool lowest = padding.number <= std::numeric_limits<float>::lowest();
    return lowest || (padding.number == 0 && is_never_negative(tensor_argument(pad, 0)));
  }

  /// Whether average pooling counts the zeros of the padding as it counts those of its own.
  static bool is_counted(const ConstantPadding& padding, const Operation& pool) {
    const bool rounds_up = pool.arguments[4].constant.toBool();
    const bool counts = pool.arguments[5].constant.toBool();
    const bool own = number_at(pool.arguments[3], 0) != 0 || number_at(pool.arguments[3], 1) != 0;
    return padding.number == 0 && !rounds_up && (counts || !own);
  }

  bool is_never_negative(int64_t id) const {
    const std::size_t place = links_.makers.at(static_cast<std::size_t>(id));
    if (place >= graph_.steps.size()) return false;
    const Step& step = graph_.steps[place];
    if (const auto* convolution = std::get_if<Convolution>(&step)) {
      return convolution->activation && !convolution->scale.defined() &&
             !convolution->shift.defined() && gives_no_negative(*convolution->activation);
    }
    const auto* operation = std::get_if<Operation>(&step);
    if (operation == nullptr) return false;
    if (gives_no_negative(*operation)) return true;
    const std::string name = plain_name(*operation);
    const bool keeps =
        name == "max_pool2d" || name == "avg_pool2d" || name == "adaptive_avg_pool2d";
    return keeps && is_never_negative(tensor_argument(*operation, 0));
  }

  static bool gives_no_negative(const Operation& operation) {
    const std::string name = plain_name(operation);
    if (name == "relu" || name == "relu6" || name == "sigmoid" || name == "hardsigmoid")
      return true;
    if (name != "hardtanh" && name != "clamp" && name != "clamp_min") return false;
    const auto is_negative = [&](std::size_t i, bool otherwise) {
      const bool given =
          operation.arguments.size() > i && operation.arguments[i].constant.isScalar();
      return given ? operation.arguments[i].constant.toScalar().toDouble() < 0 : otherwise;
    };
    return !is_negative(1, true) && !is_negative(2, false);
  }

  Graph& graph_;
  Graph::Links links_;
};

}  // namespace

void take_in_paddings(Graph& graph) {
  PaddingTaker(graph).run();
}

}  // namespace convkit::detail
