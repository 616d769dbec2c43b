#include "summary/receptive_field.h"

#include "watch/operator_names.h"

#include <algorithm>

namespace convkit::detail {

namespace {

using Field = ReceptiveFields::Field;

/// Gives element `axis` of a list that may hold one number for both axes, or none.
int64_t at(const c10::IValue& list, std::size_t axis, int64_t otherwise) {
  const std::vector<int64_t> values = list.toIntVector();
  if (values.empty()) return otherwise;
  return values.size() == 1 ? values[0] : values.at(axis);
}

Field window(const Field& field, const c10::IValue& kernel, const c10::IValue& stride,
             const c10::IValue& padding, const c10::IValue& dilation) {
  if (!field) return std::nullopt;
  Field result = field;
  for (std::size_t i = 0; i < 2; ++i) {
    const int64_t size = at(kernel, i, 1);
    result->at(i) = field->at(i).then({.kernel_size = size,
                                       .stride = at(stride, i, size),
                                       .padding = at(padding, i, 0),
                                       .dilation = at(dilation, i, 1)});
  }
  return result;
}

/// Gives what two maps see together, if their windows are at equal distances.
Field together(const Field& a, const Field& b) {
  if (!a || !b) return std::nullopt;
  Field result = a;
  for (std::size_t i = 0; i < 2; ++i) {
    const ReceptiveField& one = a->at(i);
    const ReceptiveField& other = b->at(i);
    if (one.jump != other.jump) return std::nullopt;
    const int64_t start = std::min(one.start, other.start);
    const int64_t end = std::max(one.start + one.size, other.start + other.size);
    result->at(i) = {.size = end - start, .jump = one.jump, .start = start};
  }
  return result;
}

Field padded(const Field& field, const std::vector<int64_t>& pad) {
  if (!field) return std::nullopt;
  Field result = field;
  for (std::size_t i = 0; i < pad.size(); i += 2) {  // the width's come first
    if (i >= 4) return pad[i] == 0 && pad[i + 1] == 0 ? result : std::nullopt;
    ReceptiveField& axis = result->at(1 - i / 2);
    axis.start -= pad[i] * axis.jump;
  }
  return result;
}

}  // namespace

void ReceptiveFields::begin(const torch::Tensor& input) {
  entries_.clear();
  if (input.dim() == 4) set(input, std::array<ReceptiveField, 2>{});
}

const ReceptiveFields::Entry* ReceptiveFields::find(const torch::Tensor& tensor) const {
  const auto found = entries_.find(tensor.unsafeGetTensorImpl());
  return found == entries_.end() ? nullptr : &found->second;
}

void ReceptiveFields::set(const torch::Tensor& tensor, Field field) {
  Entry entry{c10::weak_intrusive_ptr<c10::TensorImpl>(tensor.getIntrusivePtr()), field, ++serial_};
  entries_.insert_or_assign(tensor.unsafeGetTensorImpl(), std::move(entry));
}

Field ReceptiveFields::of(const torch::Tensor& tensor) const {
  const Entry* const entry = find(tensor);
  return entry == nullptr ? std::nullopt : entry->field;
}

ReceptiveFields::Operation ReceptiveFields::start(c10::ArrayRef<const c10::IValue> inputs) const {
  Operation result;
  result.serial = serial_;
  if (entries_.empty()) return result;
  result.inputs.assign(inputs.begin(), inputs.end());
  result.same_place = true;
  // Tensors without an entry are constants: weights, and what is computed of weights alone.
  const auto look = [&](const torch::Tensor& tensor) {
    const Entry* const entry = tensor.defined() ? find(tensor) : nullptr;
    if (entry == nullptr) return;
    const auto sizes = tensor.dim() == 4 ? tensor.sizes().slice(2) : torch::IntArrayRef();
    result.seen = result.depends ? together(result.seen, entry->field) : entry->field;
    result.same_place =
        result.same_place && tensor.dim() == 4 && (!result.depends || sizes == result.sizes);
    result.sizes = sizes.vec();
    result.depends = true;
  };
  for (const c10::IValue& value : inputs) {
    if (value.isTensor()) look(value.toTensor());
    if (value.isTensorList()) {
      for (const torch::Tensor& tensor : value.toTensorVector()) look(tensor);
    }
  }
  return result;
}

void ReceptiveFields::finish(const std::string& name, const Operation& operation,
                             const std::vector<torch::Tensor>& outputs) {
  if (!operation.depends) return;
  const std::vector<c10::IValue>& inputs = operation.inputs;
  const Field& seen = operation.seen;
  Field field;
  bool known = true;
  const c10::IValue one(std::vector<int64_t>{1});
  const Reach reach = reach_of(name);
  if (reach == Reach::kConvolution && inputs.size() >= 8 && !inputs[6].toBool() &&
      inputs[1].toTensor().dim() == 4) {
    const c10::IValue kernel(inputs[1].toTensor().sizes().slice(2).vec());
    field = window(seen, kernel, inputs[3], inputs[4], inputs[5]);
  } else if (reach == Reach::kMaxPool && inputs.size() >= 5) {
    field = window(seen, inputs[1], inputs[2], inputs[3], inputs[4]);
  } else if (reach == Reach::kAvgPool && inputs.size() >= 4) {
    field = window(seen, inputs[1], inputs[2], inputs[3], one);
  } else if (reach == Reach::kPad) {
    field = padded(seen, inputs[1].toIntVector());
  } else if (reach == Reach::kSamePlace && operation.same_place && outputs.size() == 1 &&
             outputs[0].dim() == 4 && outputs[0].sizes().slice(2) == operation.sizes) {
    field = seen;
  } else {
    known = false;
  }
  for (const torch::Tensor& output : outputs) {
    // An operator inside this one may have said it already.
    const Entry* const entry = find(output);
    if (known || entry == nullptr || entry->serial <= operation.serial) set(output, field);
  }
}

}  // namespace convkit::detail
