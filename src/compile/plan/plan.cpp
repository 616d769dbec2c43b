#include "compile/plan/plan.h"

#include "core/strides.h"
#include "watch/operator_names.h"

#include <algorithm>
#include <map>
#include <sstream>

namespace convkit::detail {

namespace {

constexpr int64_t kNone = -1;

bool is_list_of(const Argument& argument, const std::vector<int64_t>& expected) {
  return argument.constant.isIntList() && argument.constant.toIntVector() == expected;
}

double scalar(const Argument& argument) {
  return argument.constant.toScalar().toDouble();
}

bool is_one(const Argument& argument) {
  return argument.constant.isScalar() && scalar(argument) == 1;
}

/// Activations that can follow a convolution.
bool is_activation(const Operation& operation) {
  const std::string& overload = operation.handle.operator_name().overload_name;
  return detail::is_activation(plain_name(operation)) && overload.empty() &&
         operation.outputs.size() == 1;
}

/// Operators that move or relabel elements, and whose result depends on their order in memory only
/// through its strides.
std::string layout_free(const Operation& operation) {
  const auto& name = operation.handle.operator_name();
  if (name.name == "aten::view" && name.overload_name.empty()) return "aten::reshape";
  if (name.name == "aten::_unsafe_view") return "aten::reshape";
  return {};
}

class Planner {
 public:
  Planner(const Tape& tape, bool fuse) : fuse_(fuse && !counts_on_memory(tape)) {
    if (fuse && !fuse_) note("nothing is fused: the forward calls as_strided");
    plan_.exact = !fuse_;
    plan_.values = tape.values;
    plan_.outputs = tape.outputs;
    plan_.input_count = tape.input_count;
    for (const Operation& operation : tape.operations) plan_.steps.emplace_back(operation);
    find_overwritten(tape);
    fold_constants();
    remove_identities();
    if (!fuse_) return;
    make_pure();
    find_convolutions();
    sink_permutations();
    fuse_into_convolutions();
    split_concatenations();
    remove_dead();
  }

  Plan take() {
    copy_constants();
    for (const auto& [line, times] : notes_) {
      plan_.notes.push_back(line + ": " + std::to_string(times));
    }
    return std::move(plan_);
  }

 private:
  Value& value(int64_t id) { return plan_.values.at(static_cast<std::size_t>(id)); }
  const Value& value(int64_t id) const { return plan_.values.at(static_cast<std::size_t>(id)); }

  static bool counts_on_memory(const Tape& tape) {
    return std::any_of(
        tape.operations.begin(), tape.operations.end(), [&](const Operation& operation) {
          const bool tainted =
              std::any_of(operation.outputs.begin(), operation.outputs.end(), [&](int64_t id) {
                return id >= 0 && tape.values.at(static_cast<std::size_t>(id)).tainted;
              });
          return tainted && operation.name().starts_with("aten::as_strided");
        });
  }

  bool is_constant(int64_t id) const {
    return id >= 0 && !value(id).tainted && value(id).tensor.defined();
  }
  bool is_pure(int64_t id) const { return !plan_.overwritten.contains(id); }

  // A storage that operators in place write may hold one tensor: then each of them makes a new
  // value. With views of it, the order of reads and writes matters, and all of them stay as they are.
  void find_overwritten(const Tape& tape) {
    std::set<int64_t> raw;
    for (const Operation& operation : tape.operations) {
      for (const int64_t id : operation.written) {
        if (id < 0) continue;
        const Storage& storage = tape.storages.at(static_cast<std::size_t>(value(id).storage));
        if (storage.tensors > 1 || !fuse_ || !pure_form(operation)) raw.insert(value(id).storage);
      }
    }
    for (std::size_t i = 0; i < plan_.values.size(); ++i) {
      if (raw.contains(plan_.values[i].storage)) plan_.overwritten.insert(static_cast<int64_t>(i));
    }
  }

  /// The operator that makes a new tensor, of one in place.
  static std::optional<c10::OperatorHandle> pure_form(const Operation& operation) {
    c10::OperatorName name = operation.handle.operator_name();
    if (!name.name.ends_with('_') || operation.outputs.size() != 1) return std::nullopt;
    name.name.pop_back();
    auto handle = c10::Dispatcher::singleton().findSchema(name);
    if (!handle || handle->schema().arguments().size() != operation.arguments.size()) return {};
    return handle;
  }

  void make_pure() {
    for (Step& step : plan_.steps) {
      auto& operation = std::get<Operation>(step);
      const bool raw = std::any_of(operation.outputs.begin(), operation.outputs.end(),
                                   [&](int64_t id) { return id >= 0 && !is_pure(id); });
      if (raw) continue;
      if (!operation.written.empty()) {
        operation.handle = *pure_form(operation);
        operation.written.clear();
        value(operation.outputs[0]).storage = kNone - 1 - operation.outputs[0];
      }
      const std::string free = layout_free(operation);
      if (!free.empty()) {
        operation.handle = c10::Dispatcher::singleton().findSchemaOrThrow(free.c_str(), "");
      }
    }
  }

  void fold_constants() {
    std::size_t folded = 0;
    std::erase_if(plan_.steps, [&](const Step& step) {
      const auto& operation = std::get<Operation>(step);
      const bool constant = !operation.outputs.empty() &&
                            std::all_of(operation.outputs.begin(), operation.outputs.end(),
                                        [&](int64_t id) { return id < 0 || is_constant(id); });
      folded += constant ? 1 : 0;
      return constant;
    });
    if (folded > 0) note("computed operators on constants", folded);
  }

  // ---- Names of values.

  void rename(int64_t from, int64_t to) {
    const auto replace = [&](int64_t& id) {
      if (id == from) id = to;
    };
    for (Step& step : plan_.steps) for_each_input(step, replace);
    for (int64_t& id : plan_.outputs) replace(id);
  }

  template <typename F>
  static void for_each_input(Step& step, const F& f) {
    if (auto* operation = std::get_if<Operation>(&step)) {
      for (Argument& argument : operation->arguments) {
        for (int64_t& id : argument.values) f(id);
      }
      for (int64_t& id : operation->written) f(id);
    } else if (auto* convolution = std::get_if<Convolution>(&step)) {
      f(convolution->input);
      f(convolution->added);
    } else {
      f(std::get<ChannelNorm>(step).input);
    }
  }

  /// Where each value is made, and how often it is used.
  void find_makers_and_uses() {
    makers_.assign(plan_.values.size(), plan_.steps.size());
    uses_.assign(plan_.values.size(), 0);
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      for (const int64_t id : detail::outputs_of(plan_.steps[i])) {
        makers_.at(static_cast<std::size_t>(id)) = i;
      }
      for (const int64_t id : detail::inputs_of(plan_.steps[i])) {
        ++uses_.at(static_cast<std::size_t>(id));
      }
    }
    for (const int64_t id : plan_.outputs) ++uses_.at(static_cast<std::size_t>(id));
  }
  int64_t uses(int64_t id) const { return uses_.at(static_cast<std::size_t>(id)); }

  int64_t new_value(std::vector<int64_t> sizes, torch::Dtype dtype) {
    const auto id = static_cast<int64_t>(plan_.values.size());
    Value fresh;
    fresh.strides = row_strides(sizes);
    fresh.sizes = std::move(sizes);
    fresh.dtype = dtype;
    fresh.tainted = true;
    fresh.storage = kNone - 1 - id;  // memory of its own
    plan_.values.push_back(std::move(fresh));
    return id;
  }

  void note(const std::string& line, std::size_t times = 1) { notes_[line] += times; }

  // ---- What does nothing.

  void remove_identities() {
    std::size_t removed = 0;
    for (std::size_t i = 0; i < plan_.steps.size();) {
      const auto& operation = std::get<Operation>(plan_.steps[i]);
      const int64_t from = operation.outputs.size() == 1 ? operation.outputs[0] : kNone;
      const int64_t to = identity_of(operation);
      if (from < 0 || to < 0) {
        ++i;
        continue;
      }
      plan_.steps.erase(plan_.steps.begin() + static_cast<std::ptrdiff_t>(i));
      rename(from, to);
      ++removed;
    }
    if (removed > 0) note("removed what does nothing", removed);
  }

  /// The argument that an operator's only result is equal to.
  int64_t identity_of(const Operation& operation) const {
    if (operation.outputs.size() != 1 || operation.outputs[0] < 0 || !operation.written.empty()) {
      return kNone;
    }
    const Value& output = value(operation.outputs[0]);
    const std::string name = plain_name(operation);
    for (const Argument& argument : operation.arguments) {
      if (argument.kind != Argument::Kind::kTensor || argument.values[0] < 0) return kNone;
      const int64_t input = argument.values[0];  // the first argument
      const Value& from = value(input);
      if (from.sizes != output.sizes || from.dtype != output.dtype) return kNone;
      if (is_same_tensor(operation.outputs[0], input)) return input;
      const bool copies = name == "clone" || name == "contiguous" || name == "detach" ||
                          name == "alias" || name == "view" || name == "reshape" ||
                          name == "flatten" || name == "expand";
      // Without fusion a layout stays what it was.
      const bool exact = !fuse_ && from.strides != output.strides;
      if (copies && !exact && is_pure(input) && is_pure(operation.outputs[0])) return input;
      return kNone;
    }
    return kNone;
  }

  bool is_same_tensor(int64_t output, int64_t input) const {
    for (int64_t id = value(output).same_as; id >= 0; id = value(id).same_as) {
      if (id == input) return true;
    }
    return false;
  }

  // ---- Convolutions.

  void find_convolutions() {
    for (Step& step : plan_.steps) {
      const auto& operation = std::get<Operation>(step);
      if (operation.outputs.size() != 1 || !is_pure(operation.outputs[0])) continue;
      std::optional<Convolution> found;
      const std::string name = plain_name(operation);
      if (name == "conv2d" || name == "conv_transpose2d") found = convolution_of(operation);
      if (name == "linear" || name == "addmm" || name == "matmul" || name == "mm") {
        found = linear_of(operation);
      }
      if (!found || value(found->input).dtype != torch::kFloat32 ||
          found->weight.scalar_type() != torch::kFloat32 || !is_pure(found->input)) {
        continue;
      }
      found->output = operation.outputs[0];
      step = std::move(*found);
    }
  }

  std::optional<Convolution> convolution_of(const Operation& operation) const {
    const auto& arguments = operation.arguments;
    const bool transposed = plain_name(operation) == "conv_transpose2d";
    const int64_t weight = arguments[1].values.at(0);
    const int64_t bias = arguments[2].values.at(0);
    if (value(arguments[0].values.at(0)).sizes.size() != 4) return std::nullopt;
    if (!is_constant(weight) || (bias >= 0 && !is_constant(bias))) return std::nullopt;
    Convolution result;
    result.input = arguments[0].values[0];
    result.weight = value(weight).tensor;
    if (bias >= 0) result.bias = value(bias).tensor;
    result.transposed = transposed;
    result.groups = arguments[6].constant.toInt();
    const Argument& dilation = arguments[transposed ? 7 : 5];
    for (std::size_t i = 0; i < 2; ++i) {
      result.stride[i] = number_at(arguments[3], i);
      result.dilation[i] = number_at(dilation, i);
      if (transposed) result.output_padding[i] = number_at(arguments[5], i);
      if (!arguments[4].constant.isString()) {
        result.padding[i] = number_at(arguments[4], i);
      } else if (arguments[4].constant.toStringRef() == "same") {
        const int64_t total =
            result.dilation[i] * (result.weight.size(2 + static_cast<int64_t>(i)) - 1);
        if (total % 2 != 0) return std::nullopt;  // more on one side than on the other
        result.padding[i] = total / 2;
      }
    }
    return result;
  }

  std::optional<Convolution> linear_of(const Operation& operation) const {
    const auto& arguments = operation.arguments;
    const std::string name = plain_name(operation);
    Convolution result;
    result.linear = true;
    int64_t weight = kNone;
    int64_t bias = kNone;
    if (name == "addmm") {
      if (!is_one(arguments[3]) || !is_one(arguments[4])) return std::nullopt;
      bias = arguments[0].values[0];
      result.input = arguments[1].values[0];
      weight = arguments[2].values[0];
    } else {
      result.input = arguments[0].values[0];
      weight = arguments[1].values[0];
      if (name == "linear") bias = arguments[2].values[0];
    }
    if (!is_constant(weight) || is_constant(result.input) || value(weight).sizes.size() != 2 ||
        value(result.input).sizes.size() < 2) {
      return std::nullopt;
    }
    result.weight = value(weight).tensor;
    if (name != "linear") result.weight = result.weight.t();
    if (bias >= 0) {
      if (!is_constant(bias) || value(bias).sizes != std::vector{result.weight.size(0)}) {
        return std::nullopt;
      }
      result.bias = value(bias).tensor;
    }
    return result;
  }

  // ---- Permutations: [N, C, H, W] -> [N, H, W, C], a norm or a linear layer, and back.

  void sink_permutations() {
    std::vector<Step> steps;
    std::map<int64_t, Operation> permuted;  // those of images, by their values
    const auto image_of = [&](int64_t id) {
      const auto found = permuted.find(id);
      return found == permuted.end() ? kNone : found->second.arguments[0].values[0];
    };
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      const Step& step = plan_.steps[i];
      const auto outputs = detail::outputs_of(step);
      const auto inputs = detail::inputs_of(step);
      const int64_t input = inputs.empty() ? kNone : first_input(step);
      const int64_t image = image_of(input);
      if (const auto* permute = std::get_if<Operation>(&step);
          permute != nullptr && plain_name(*permute) == "permute" && is_pure(outputs[0])) {
        if (image >= 0 && is_list_of(permute->arguments[1], {0, 3, 1, 2})) {
          value(image).strides = value(outputs[0]).strides;
          rename(outputs[0], image);  // of the steps to come
          continue;
        }
        if (is_list_of(permute->arguments[1], {0, 2, 3, 1}) && is_pure(input)) {
          permuted.emplace(outputs[0], *permute);
        }
      }
      std::optional<Step> moved = image < 0 ? std::nullopt : moved_before_permutation(step, image);
      if (!moved) {
        steps.push_back(step);
        continue;
      }
      const auto last = value(outputs[0]).sizes;
      const int64_t result = new_value({last[0], last[3], last[1], last[2]}, torch::kFloat32);
      set_output(*moved, result);
      steps.push_back(std::move(*moved));
      Operation permute = permuted.at(input);
      permute.arguments[0].values[0] = result;
      permute.outputs = {outputs[0]};
      steps.emplace_back(permute);
      permuted.emplace(outputs[0], std::move(permute));
    }
    plan_.steps = std::move(steps);
    remove_dead();
  }

  /// A step on a permuted image, as one on the image, whose result is permuted likewise.
  std::optional<Step> moved_before_permutation(const Step& step, int64_t image) {
    if (const auto* linear = std::get_if<Convolution>(&step)) {
      if (!linear->linear) return std::nullopt;
      Convolution next = *linear;
      next.linear = false;
      next.weight = next.weight.unsqueeze(-1).unsqueeze(-1);
      next.input = image;
      return next;
    }
    const auto* operation = std::get_if<Operation>(&step);
    if (operation == nullptr || operation->outputs.size() != 1 || !is_pure(operation->outputs[0]) ||
        value(image).dtype != torch::kFloat32) {
      return std::nullopt;
    }
    if (plain_name(*operation) == "layer_norm") return channel_norm_of(*operation, image);
    if (!is_activation(*operation) && !is_bias(*operation)) return std::nullopt;
    Operation next = *operation;
    next.arguments[0].values[0] = image;
    if (is_bias(*operation)) reshape_bias(next);
    return next;
  }

  /// `x + bias` of a linear layer that LibTorch writes as a product and a sum.
  bool is_bias(const Operation& operation) const {
    if (plain_name(operation) != "add" || operation.arguments.size() != 3) return false;
    if (operation.arguments[1].kind != Argument::Kind::kTensor) return false;
    const int64_t other = operation.arguments[1].values[0];
    return is_constant(other) && value(other).sizes.size() == 1 &&
           value(operation.outputs[0]).sizes.size() == 4 &&
           value(other).sizes[0] == value(operation.outputs[0]).sizes[3];
  }

  void reshape_bias(Operation& operation) {
    const Value old = value(operation.arguments[1].values[0]);
    const int64_t id = new_value({old.sizes[0], 1, 1}, old.dtype);
    value(id).kind = Value::Kind::kConstant;
    value(id).tainted = false;
    value(id).tensor = old.tensor.view({-1, 1, 1});
    operation.arguments[1].values[0] = id;
  }

  static int64_t first_input(const Step& step) {
    const auto* operation = std::get_if<Operation>(&step);
    if (operation == nullptr) return detail::inputs_of(step).front();
    const bool tensor = operation->arguments.front().kind == Argument::Kind::kTensor;
    return tensor ? operation->arguments.front().values.front() : kNone;
  }

  static void set_output(Step& step, int64_t id) {
    if (auto* operation = std::get_if<Operation>(&step)) operation->outputs = {id};
    if (auto* convolution = std::get_if<Convolution>(&step)) convolution->output = id;
    if (auto* norm = std::get_if<ChannelNorm>(&step)) norm->output = id;
  }

  std::optional<Step> channel_norm_of(const Operation& operation, int64_t image) const {
    const auto& arguments = operation.arguments;
    const auto constant = [&](int64_t id) { return id < 0 || is_constant(id); };
    const int64_t weight = arguments[2].values.at(0);
    const int64_t bias = arguments[3].values.at(0);
    if (!is_list_of(arguments[1], {value(image).sizes[1]}) || !constant(weight) ||
        !constant(bias)) {
      return std::nullopt;
    }
    ChannelNorm norm;
    norm.input = image;
    if (weight >= 0) norm.weight = value(weight).tensor;
    if (bias >= 0) norm.bias = value(bias).tensor;
    norm.eps = arguments[4].constant.toDouble();
    return norm;
  }

  // ---- Fusion into a convolution of what follows it.

  // In one pass: what follows a convolution comes after it, and takes its place.
  void fuse_into_convolutions() {
    find_makers_and_uses();
    std::vector<bool> gone(plan_.steps.size());
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      const auto* operation = std::get_if<Operation>(&plan_.steps[i]);
      if (operation == nullptr || operation->outputs.size() != 1 || operation->outputs[0] < 0 ||
          !is_pure(operation->outputs[0]) || operation->arguments.empty()) {
        continue;
      }
      std::size_t place = 0;
      std::optional<Convolution> fused = fused_with(*operation, &place);
      if (!fused) continue;
      fused->output = operation->outputs[0];
      makers_.at(static_cast<std::size_t>(fused->output)) = i;
      plan_.steps[i] = std::move(*fused);
      gone[place] = true;
    }
    std::vector<Step> kept;
    for (std::size_t i = 0; i < gone.size(); ++i) {
      if (!gone[i]) kept.push_back(std::move(plan_.steps[i]));
    }
    plan_.steps = std::move(kept);
  }

  Step* maker(int64_t id, std::size_t* place) {
    *place = makers_.at(static_cast<std::size_t>(id));
    return *place < plan_.steps.size() ? &plan_.steps[*place] : nullptr;
  }

  /// The convolution at `place` together with the operator that uses its output alone.
  std::optional<Convolution> fused_with(const Operation& operation, std::size_t* place) {
    const std::string name = plain_name(operation);
    const auto argument = [&](std::size_t i) -> int64_t {
      const bool has =
          operation.arguments.size() > i && operation.arguments[i].kind == Argument::Kind::kTensor;
      return has ? operation.arguments[i].values[0] : kNone;
    };
    const auto open = [&](int64_t id, std::size_t* at) -> Convolution* {
      Step* step = id < 0 ? nullptr : maker(id, at);
      auto* convolution = step == nullptr ? nullptr : std::get_if<Convolution>(step);
      const bool is_open = convolution != nullptr && !convolution->activation && uses(id) == 1;
      return is_open ? convolution : nullptr;
    };
    if (is_activation(operation)) {
      Convolution* convolution = open(argument(0), place);
      if (convolution == nullptr) return std::nullopt;
      Convolution result = *convolution;
      result.activation = operation;
      note("fused " + name);
      return result;
    }
    if (name == "batch_norm") {
      Convolution* convolution = open(argument(0), place);
      if (convolution == nullptr || convolution->added >= 0) return std::nullopt;
      return with_batch_norm(*convolution, operation);
    }
    if (name != "add" && name != "mul") return std::nullopt;
    if (name == "add" && (operation.arguments.size() < 3 || !is_one(operation.arguments[2]))) {
      return std::nullopt;
    }
    std::array<std::size_t, 2> places{};
    std::array<Convolution*, 2> both{open(argument(0), places.data()),
                                     open(argument(1), &places.at(1))};
    std::optional<std::size_t> best;  // the later one: the other is then computed already
    for (std::size_t i = 0; i < 2; ++i) {
      if (both.at(i) == nullptr || both.at(i)->added >= 0) continue;
      const int64_t other = argument(1 - i);
      if (other < 0) continue;
      if (is_constant(other)) {
        if (auto result = with_channels(*both.at(i), name, other)) {
          *place = places.at(i);
          return result;
        }
        continue;
      }
      const Value& output = value(both.at(i)->output);
      if (name == "mul" || other == argument(i) || value(other).sizes != output.sizes ||
          value(other).dtype != output.dtype || !is_pure(other)) {
        continue;
      }
      if (!best || places.at(i) > places.at(*best)) best = i;
    }
    if (!best) return std::nullopt;
    *place = places.at(*best);
    Convolution result = *both.at(*best);
    result.added = argument(1 - *best);
    note("fused add");
    return result;
  }

  /// y * scale + shift, for each channel of the output, in double.
  static Convolution scaled(const Convolution& convolution, const torch::Tensor& scale,
                            const torch::Tensor& shift) {
    Convolution result = convolution;
    const torch::Tensor weight = convolution.weight.to(torch::kDouble);
    if (convolution.transposed) {  // [in, out / groups, kH, kW]: the groups are along `in`
      const auto sizes = weight.sizes();
      result.weight = (weight.view({convolution.groups, sizes[0] / convolution.groups, sizes[1],
                                    sizes[2], sizes[3]}) *
                       scale.view({convolution.groups, 1, sizes[1], 1, 1}))
                          .view(sizes);
    } else {
      std::vector<int64_t> shape(static_cast<std::size_t>(weight.dim()), 1);
      shape[0] = -1;
      result.weight = weight * scale.view(shape);
    }
    result.weight = result.weight.to(torch::kFloat32);
    const torch::Tensor bias =
        convolution.bias.defined() ? convolution.bias.to(torch::kDouble) : torch::zeros_like(scale);
    result.bias = (bias * scale + shift).to(torch::kFloat32);
    return result;
  }

  std::optional<Convolution> with_batch_norm(const Convolution& convolution,
                                             const Operation& operation) {
    const auto& arguments = operation.arguments;
    const auto tensor = [&](std::size_t i) -> std::optional<torch::Tensor> {
      const int64_t id = arguments[i].values.at(0);
      if (id < 0) return torch::Tensor();
      if (!is_constant(id)) return std::nullopt;
      return value(id).tensor.to(torch::kDouble);
    };
    const auto weight = tensor(1);
    const auto bias = tensor(2);
    const auto mean = tensor(3);
    const auto variance = tensor(4);
    const bool training = arguments[5].constant.toBool();
    if (training || convolution.linear || !weight || !bias || !mean || !variance ||
        !mean->defined() || !variance->defined()) {
      return std::nullopt;
    }
    torch::Tensor scale = (*variance + arguments[7].constant.toDouble()).rsqrt();
    if (weight->defined()) scale = scale * *weight;
    torch::Tensor shift = -*mean * scale;
    if (bias->defined()) shift = shift + *bias;
    note("folded batch_norm");
    return scaled(convolution, scale, shift);
  }

  /// With a constant for each channel that it is multiplied by, or that is added.
  std::optional<Convolution> with_channels(const Convolution& convolution, const std::string& name,
                                           int64_t constant) {
    const Value& output = value(convolution.output);
    const Value& factor = value(constant);
    const auto dims = static_cast<int64_t>(output.sizes.size());
    const int64_t axis = convolution.linear ? dims - 1 : 1;
    const int64_t channels = output.sizes[static_cast<std::size_t>(axis)];
    const auto own = static_cast<int64_t>(factor.sizes.size());
    if (factor.dtype != torch::kFloat32 || own > dims) return std::nullopt;
    for (int64_t i = 0; i < own; ++i) {
      const int64_t size = factor.sizes[static_cast<std::size_t>(i)];
      if (size != 1 && (i + dims - own != axis || size != channels)) return std::nullopt;
    }
    const torch::Tensor numbers = factor.tensor.to(torch::kDouble).reshape(-1).expand(channels);
    note("folded " + name + " of a constant");
    return name == "mul" ? scaled(convolution, numbers, torch::zeros_like(numbers))
                         : scaled(convolution, torch::ones_like(numbers), numbers);
  }

  // ---- conv(cat(a, b)) = conv(a) + conv(b), which needs no concatenation.

  void split_concatenations() {
    find_makers_and_uses();
    std::vector<Step> steps;
    for (const Step& step : plan_.steps) {
      const auto* convolution = std::get_if<Convolution>(&step);
      const Operation* cat = convolution == nullptr ? nullptr : split_of(*convolution);
      if (cat == nullptr) {
        steps.push_back(step);
        continue;
      }
      const int64_t a = cat->arguments[0].values[0];
      const int64_t channels = value(a).sizes[1];
      Convolution first = *convolution;
      first.input = a;
      first.weight = convolution->weight.slice(1, 0, channels);
      first.bias = torch::Tensor();
      first.activation.reset();
      first.output = new_value(value(convolution->output).sizes, torch::kFloat32);
      Convolution second = *convolution;
      second.input = cat->arguments[0].values[1];
      second.weight = convolution->weight.slice(1, channels);
      second.added = first.output;
      steps.emplace_back(std::move(first));
      steps.emplace_back(std::move(second));
      note("split a convolution of cat");
    }
    plan_.steps = std::move(steps);
  }

  /// The concatenation of two images that a convolution alone uses.
  const Operation* split_of(const Convolution& convolution) {
    if (convolution.groups != 1 || convolution.linear || convolution.transposed ||
        convolution.added >= 0 || uses(convolution.input) != 1) {
      return nullptr;
    }
    std::size_t place = 0;
    const Step* step = maker(convolution.input, &place);
    const auto* cat = step == nullptr ? nullptr : std::get_if<Operation>(step);
    if (cat == nullptr || plain_name(*cat) != "cat" || cat->arguments[0].values.size() != 2 ||
        number_at(cat->arguments[1], 0) != 1) {
      return nullptr;
    }
    for (const int64_t id : cat->arguments[0].values) {
      if (is_constant(id) || !is_pure(id) || value(id).dtype != torch::kFloat32 ||
          value(id).sizes.size() != 4) {
        return nullptr;
      }
    }
    return cat;
  }

  // ---- The end.

  void remove_dead() {
    std::set<int64_t> live(plan_.outputs.begin(), plan_.outputs.end());
    std::vector<Step> kept;
    for (auto step = plan_.steps.rbegin(); step != plan_.steps.rend(); ++step) {
      const auto outputs = detail::outputs_of(*step);
      const auto* operation = std::get_if<Operation>(&*step);
      bool needed = operation != nullptr && (outputs.empty() || !operation->written.empty());
      for (const int64_t id : outputs)
        needed |= live.contains(id) || plan_.overwritten.contains(id);
      if (!needed) continue;
      for (const int64_t id : detail::inputs_of(*step)) live.insert(id);
      kept.push_back(std::move(*step));
    }
    std::reverse(kept.begin(), kept.end());
    plan_.steps = std::move(kept);
  }

  // The module's own weights may change later; a shared one is copied once.
  void copy_constants() {
    std::map<const c10::TensorImpl*, torch::Tensor> copies;
    const auto copy = [&](torch::Tensor& tensor) {
      if (!tensor.defined()) return;
      torch::Tensor& own = copies[tensor.unsafeGetTensorImpl()];
      if (!own.defined()) own = tensor.detach().clone();
      if (tensor.unsafeGetTensorImpl()->is_wrapped_number()) {
        own.unsafeGetTensorImpl()->set_wrapped_number(true);
      }
      tensor = own;
    };
    std::set<int64_t> used(plan_.outputs.begin(), plan_.outputs.end());
    for (Step& step : plan_.steps) {
      for (const int64_t id : detail::inputs_of(step)) used.insert(id);
      if (auto* convolution = std::get_if<Convolution>(&step)) {
        copy(convolution->weight);
        copy(convolution->bias);
        if (convolution->activation) {  // in place of what it was, on the convolution's output
          convolution->activation->arguments[0].values = {convolution->output};
          convolution->activation->outputs = {convolution->output};
        }
      } else if (auto* norm = std::get_if<ChannelNorm>(&step)) {
        copy(norm->weight);
        copy(norm->bias);
      }
    }
    for (std::size_t i = 0; i < plan_.values.size(); ++i) {
      Value& value = plan_.values[i];
      if (used.contains(static_cast<int64_t>(i)) && is_constant(static_cast<int64_t>(i))) {
        value.kind = Value::Kind::kConstant;
        copy(value.tensor);
      } else {
        value.tensor = torch::Tensor();
      }
    }
  }

  bool fuse_;
  Plan plan_;
  std::vector<std::size_t> makers_;
  std::vector<int64_t> uses_;
  std::map<std::string, std::size_t> notes_;
};

}  // namespace

Plan make_plan(const Tape& tape, bool fuse) {
  const torch::NoGradGuard no_grad;
  return Planner(tape, fuse).take();
}

bool is_raw(const Plan& plan, const Step& step) {
  const auto raw = [&](int64_t id) { return plan.overwritten.contains(id); };
  const auto inputs = inputs_of(step);
  const auto outputs = outputs_of(step);
  return std::any_of(inputs.begin(), inputs.end(), raw) ||
         std::any_of(outputs.begin(), outputs.end(), raw);
}

std::vector<int64_t> inputs_of(const Step& step) {
  std::vector<int64_t> result;
  if (const auto* operation = std::get_if<Operation>(&step)) {
    for (const Argument& argument : operation->arguments) {
      for (const int64_t id : argument.values) {
        if (id >= 0) result.push_back(id);
      }
    }
  } else if (const auto* convolution = std::get_if<Convolution>(&step)) {
    result.push_back(convolution->input);
    if (convolution->added >= 0) result.push_back(convolution->added);
  } else {
    result.push_back(std::get<ChannelNorm>(step).input);
  }
  return result;
}

std::vector<int64_t> outputs_of(const Step& step) {
  if (const auto* operation = std::get_if<Operation>(&step)) {
    std::vector<int64_t> result;
    for (const int64_t id : operation->outputs) {
      if (id >= 0) result.push_back(id);
    }
    return result;
  }
  if (const auto* convolution = std::get_if<Convolution>(&step)) return {convolution->output};
  return {std::get<ChannelNorm>(step).output};
}

int64_t number_at(const Argument& argument, std::size_t i, int64_t otherwise) {
  if (argument.constant.isInt()) return argument.constant.toInt();
  const std::vector<int64_t> numbers = argument.constant.toIntVector();
  if (numbers.empty()) return otherwise;
  return numbers.size() == 1 ? numbers[0] : numbers.at(i);
}

std::string plain_name(const Operation& operation) {
  return plain_name(operation.name());
}

std::string describe(const Step& step) {
  if (const auto* operation = std::get_if<Operation>(&step)) return plain_name(*operation);
  if (std::holds_alternative<ChannelNorm>(step)) return "layer_norm of channels";
  const auto& convolution = std::get<Convolution>(step);
  std::ostringstream text;
  if (convolution.linear) {
    text << "linear";
  } else {
    const auto& weight = convolution.weight;
    text << (convolution.transposed ? "conv_transpose2d " : "conv2d ") << weight.size(2) << "x"
         << weight.size(3);
    if (convolution.stride[0] > 1) text << " stride " << convolution.stride[0];
    if (convolution.groups > 1) text << " groups " << convolution.groups;
  }
  if (convolution.added >= 0) text << " + add";
  if (convolution.activation) text << " + " << plain_name(*convolution.activation);
  return text.str();
}

}  // namespace convkit::detail
