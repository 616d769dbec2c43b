#include "files/pickle_values.h"

namespace convkit::detail {

void PickleBuilder::count_slots(std::size_t count) {
  slots_ += count;
  if (slots_ > 2 * at_) fail("more items than bytes");
}

Id PickleBuilder::container(Id target, PickleKind kind) {
  if (!pickle_.is(target, PickleKind::kObject)) return target;
  const uint32_t index = pickle_[target].index;
  if (pickle_.objects[index].items == kNothing) {
    const Id items = kind == PickleKind::kDict ? dict() : list({});
    pickle_.objects[index].items = items;
  }
  return pickle_.objects[index].items;
}

void PickleBuilder::append(Id target, const std::vector<Id>& items) {
  const Id list = container(target, PickleKind::kList);
  if (!pickle_.is(list, PickleKind::kList)) fail("items for what is no list");
  count_slots(items.size());
  auto& entries = pickle_.lists[pickle_[list].index];
  entries.insert(entries.end(), items.begin(), items.end());
}

void PickleBuilder::set(Id target, const std::vector<Id>& items) {
  if (items.size() % 2 != 0) fail("a key without a value");
  const Id dict = container(target, PickleKind::kDict);
  if (!pickle_.is(dict, PickleKind::kDict)) fail("entries for what is no dict");
  count_slots(items.size());
  auto& entries = pickle_.dicts[pickle_[dict].index];
  for (std::size_t i = 0; i < items.size(); i += 2) entries.emplace_back(items[i], items[i + 1]);
}

Id PickleBuilder::call(Id callable, Id arguments_id) {
  if (!pickle_.is(callable, PickleKind::kGlobal) || !pickle_.is(arguments_id, PickleKind::kList)) {
    return object(callable, arguments_id);
  }
  const PickleGlobal function = pickle_.globals[pickle_[callable].index];
  const std::vector<Id>& arguments = pickle_.list(arguments_id);
  const std::size_t count = arguments.size();
  if (function.module == "collections" && function.name == "OrderedDict") {
    return ordered_dict(arguments);
  }
  if (function.module == "torch._utils") {
    const Id tensor = rebuilt(function.name, arguments);
    if (tensor != kNothing) return tensor;
  }
  if (function.module == "torch.nn.parameter" && function.name == "Parameter" && count > 0) {
    return arguments[0];
  }
  if (function.module == "torch" && function.name == "Size" && count == 1) return arguments[0];
  const bool builtin = function.module == "builtins" || function.module == "__builtin__";
  if (builtin && (function.name == "set" || function.name == "frozenset") && count == 1) {
    return arguments[0];
  }
  if (function.module == "collections" && function.name == "Counter" && count == 1) {
    return arguments[0];
  }
  // Protocol 1 makes objects by this: (class, the class that it is derived from, that one's value).
  const bool copyreg = function.module == "copy_reg" || function.module == "copyreg";
  if (copyreg && function.name == "_reconstructor" && count == 3) {
    const Id type = arguments[0];
    const Id value = arguments[2];
    const Id made = object(type, list({}));  // which moves the arguments
    if (pickle_.is(value, PickleKind::kDict) || pickle_.is(value, PickleKind::kList)) {
      pickle_.objects[pickle_[made].index].items = value;
    }
    return made;
  }
  // LibTorch's own archives wrap lists and dicts in these.
  if (function.module == "torch.jit._pickle" && count > 0 &&
      (function.name == "restore_type_tag" || function.name == "build_intlist" ||
       function.name == "build_tensorlist" || function.name == "build_doublelist" ||
       function.name == "build_boollist")) {
    return arguments[0];
  }
  // A tensor with attributes: (function, class, its arguments, the attributes).
  if (function.module == "torch._tensor" && function.name == "_rebuild_from_type_v2" &&
      count == 4 && !pickle_.is_global(arguments[0], function.module, function.name)) {
    return call(arguments[0], arguments[2]);
  }
  return object(callable, arguments_id);
}

Id PickleBuilder::ordered_dict(const std::vector<Id>& arguments) {
  std::vector<Id> entries;
  if (!arguments.empty()) {  // Python 2: a list of pairs
    if (!pickle_.is(arguments[0], PickleKind::kList)) fail("an OrderedDict of no pairs");
    count_slots(pickle_.list(arguments[0]).size());
    for (const Id pair : pickle_.list(arguments[0])) {
      if (!pickle_.is(pair, PickleKind::kList) || pickle_.list(pair).size() != 2) fail("no pair");
      entries.insert(entries.end(), pickle_.list(pair).begin(), pickle_.list(pair).end());
    }
  }
  const Id result = dict();
  set(result, entries);
  return result;
}

Id PickleBuilder::rebuilt(std::string_view name, const std::vector<Id>& arguments) {
  const std::size_t count = arguments.size();
  const auto argument = [&](std::size_t i) { return i < count ? arguments[i] : kNothing; };
  if (name == "_rebuild_parameter" || name == "_rebuild_parameter_with_state") {
    if (count == 0) fail("a parameter without a tensor");
    return arguments[0];
  }
  if (name == "_rebuild_sparse_tensor") return refuse("sparse");
  if (name == "_rebuild_qtensor") return refuse("quantized");
  if (name == "_rebuild_meta_tensor_no_storage") return refuse("meta");
  if (name == "_rebuild_nested_tensor") return refuse("nested");
  if (name == "_rebuild_wrapper_subclass" || name == "_rebuild_device_tensor_from_numpy" ||
      name == "_rebuild_device_tensor_from_cpu_tensor") {
    return refuse("foreign device's");
  }
  const bool v3 = name == "_rebuild_tensor_v3";
  if (!v3 && name != "_rebuild_tensor_v2" && name != "_rebuild_tensor") return kNothing;
  if (count < (v3 ? 7 : 4) || !pickle_.is(arguments[0], PickleKind::kStorage)) {
    fail("a tensor without a storage");
  }
  PickleTensor tensor{arguments[0], arguments[1], arguments[2], arguments[3], kNothing, kNothing};
  tensor.dtype = v3 ? arguments[6] : kNothing;
  tensor.metadata = argument(v3 ? 7 : 6);
  return make(PickleKind::kTensor, pickle_.tensors, tensor);
}

Id PickleBuilder::persistent(Id id) {
  if (!pickle_.is(id, PickleKind::kList)) fail("a persistent id that is no tuple");
  const std::vector<Id>& parts = pickle_.list(id);
  if (parts.size() >= 2 && pickle_.is_text(parts[0], "module")) return parts[1];
  const bool sound = parts.size() >= 5 && pickle_.is_text(parts[0], "storage") &&
                     pickle_.is(parts[1], PickleKind::kGlobal) &&
                     pickle_.is(parts[2], PickleKind::kText) &&
                     pickle_.is(parts[4], PickleKind::kInt);
  if (!sound) fail("a persistent id that is no storage");
  const int64_t size = pickle_[parts[4]].integer;
  PickleStorage storage{parts[1], pickle_.text(parts[2]), size, 0, size};
  if (parts.size() >= 6 && pickle_.is(parts[5], PickleKind::kList)) {
    const std::vector<Id>& view = pickle_.list(parts[5]);
    if (view.size() != 3 || !pickle_.is(view[1], PickleKind::kInt) ||
        !pickle_.is(view[2], PickleKind::kInt)) {
      fail("a view of a storage without offset and size");
    }
    storage.offset = pickle_[view[1]].integer;
    storage.view_size = pickle_[view[2]].integer;
  }
  return make(PickleKind::kStorage, pickle_.storages, storage);
}

}  // namespace convkit::detail
