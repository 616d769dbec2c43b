#include "pickle.h"

#include "file.h"

#include <c10/util/Exception.h>

#include <bit>
#include <cstring>
#include <map>

namespace convkit::detail {
namespace {

// A value costs 16 bytes and more, and an opcode of one byte makes one.
constexpr std::size_t kMostValues = std::size_t{1} << 26;

class PickleMachine {
 public:
  PickleMachine(const std::string& where, std::string_view bytes) : where_(where), bytes_(bytes) {}

  Pickle run() {
    for (Kind kind : {Kind::kNone, Kind::kBool, Kind::kBool}) make(kind);
    pickle_.values[kTrue].integer = 1;
    while (!stopped_) step(static_cast<unsigned char>(take(1)[0]));
    pickle_.size = at_;
    return std::move(pickle_);
  }

 private:
  // What every pickle has many of.
  static constexpr Id kNothing = 0;
  static constexpr Id kFalse = 1;
  static constexpr Id kTrue = 2;

  template <typename... Got>
  [[noreturn]] void fail(const Got&... got) const {
    TORCH_CHECK(false, "load_checkpoint: ", where_, ": expected a pickle of protocol 2 to 5, got ",
                got..., " at byte ", at_);
  }

  // ---- bytes

  std::string_view take(uint64_t size) {
    if (size > bytes_.size() - at_) fail("its end");
    const std::string_view taken = bytes_.substr(at_, size);
    at_ += size;
    return taken;
  }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string_view line() {
    const std::size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) fail("an unfinished line");
    const std::string_view text = take(end - at_);
    take(1);
    return text;
  }

  // ---- values and the stack

  Id make(Kind kind, uint32_t index = 0) {
    if (pickle_.values.size() >= kMostValues) fail("more than ", kMostValues, " values");
    PickleValue value;
    value.kind = kind;
    value.index = index;
    pickle_.values.push_back(value);
    return static_cast<Id>(pickle_.values.size() - 1);
  }
  template <typename T>
  Id make(Kind kind, std::vector<T>& table, T entry) {
    table.push_back(std::move(entry));
    return make(kind, static_cast<uint32_t>(table.size() - 1));
  }
  Id text(std::string_view value, Kind kind = Kind::kText) {
    return make(kind, pickle_.texts, value);
  }
  Id integer(int64_t value) {
    const Id id = make(Kind::kInt);
    pickle_.values[id].integer = value;
    return id;
  }
  Id list(std::vector<Id> items) { return make(Kind::kList, pickle_.lists, std::move(items)); }
  Id dict() { return make(Kind::kDict, pickle_.dicts, {}); }
  Id object(Id callable, Id arguments) {
    return make(Kind::kObject, pickle_.objects, {callable, arguments, kNothing});
  }

  void push(Id id) {
    if (stack_.size() >= kMostValues) fail("a stack of more than ", kMostValues, " values");
    stack_.push_back(id);
  }
  Id pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("an empty stack");
    const Id id = stack_.back();
    stack_.pop_back();
    return id;
  }
  Id top() {
    const Id id = pop();
    stack_.push_back(id);
    return id;
  }
  /// What lies above the last mark.
  std::vector<Id> pop_marked() {
    if (marks_.empty()) fail("no mark");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Id> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  std::vector<Id> pop_items(std::size_t count) {
    std::vector<Id> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }

  void memoize(uint32_t key) {
    if (memo_.size() > pickle_.values.size()) fail("more memo entries than values");
    memo_[key] = top();
  }
  void recall(uint32_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) fail("a memo without entry ", key);
    push(found->second);
  }

  // ---- containers

  /// A slot of a container takes a byte of the pickle; those of an OrderedDict's pairs count twice.
  void count_slots(std::size_t count) {
    slots_ += count;
    if (slots_ > 2 * bytes_.size()) fail("more items than bytes");
  }

  void append(Id target, const std::vector<Id>& items) {
    if (pickle_.is(target, Kind::kObject)) return;  // of a subclass of list or set
    if (!pickle_.is(target, Kind::kList)) fail("items for what is no list");
    count_slots(items.size());
    auto& list = pickle_.lists[pickle_[target].index];
    list.insert(list.end(), items.begin(), items.end());
  }
  void set(Id target, const std::vector<Id>& items) {
    if (items.size() % 2 != 0) fail("a key without a value");
    if (pickle_.is(target, Kind::kObject)) return;  // of a subclass of dict
    if (!pickle_.is(target, Kind::kDict)) fail("entries for what is no dict");
    count_slots(items.size());
    auto& dict = pickle_.dicts[pickle_[target].index];
    for (std::size_t i = 0; i < items.size(); i += 2) dict.emplace_back(items[i], items[i + 1]);
  }

  // ---- what is called

  void push_global(std::string_view module, std::string_view name) {
    push(make(Kind::kGlobal, pickle_.globals, {module, name}));
  }

  Id refuse(const char* kind) { return make(Kind::kRefused, pickle_.refused, kind); }

  /// What a call of `callable` gives: a tensor, a container, or an object that does nothing.
  Id call(Id callable, Id arguments_id) {
    if (!pickle_.is(callable, Kind::kGlobal) || !pickle_.is(arguments_id, Kind::kList)) {
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
    // What LibTorch's own archives wrap lists and dicts in.
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

  Id ordered_dict(const std::vector<Id>& arguments) {
    std::vector<Id> entries;
    if (!arguments.empty()) {  // Python 2: a list of pairs
      if (!pickle_.is(arguments[0], Kind::kList)) fail("an OrderedDict of no pairs");
      count_slots(pickle_.list(arguments[0]).size());
      for (const Id pair : pickle_.list(arguments[0])) {
        if (!pickle_.is(pair, Kind::kList) || pickle_.list(pair).size() != 2) fail("no pair");
        entries.insert(entries.end(), pickle_.list(pair).begin(), pickle_.list(pair).end());
      }
    }
    const Id result = dict();
    set(result, entries);
    return result;
  }

  /// torch._utils' functions for tensors; None for others.
  Id rebuilt(std::string_view name, const std::vector<Id>& arguments) {
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
    if (count < (v3 ? 7 : 4) || !pickle_.is(arguments[0], Kind::kStorage)) {
      fail("a tensor without a storage");
    }
    PickleTensor tensor{arguments[0], arguments[1], arguments[2], arguments[3], kNothing, kNothing};
    tensor.dtype = v3 ? arguments[6] : kNothing;
    tensor.metadata = argument(v3 ? 7 : 6);
    return make(Kind::kTensor, pickle_.tensors, tensor);
  }

  /// ('storage', type, key, location, size), and in files from before torch 1.6 a sixth, a view:
  /// (key, offset, size). ('module', class, ...) is the class.
  Id persistent(Id id) {
    if (!pickle_.is(id, Kind::kList)) fail("a persistent id that is no tuple");
    const std::vector<Id>& parts = pickle_.list(id);
    if (parts.size() >= 2 && pickle_.is_text(parts[0], "module")) return parts[1];
    const bool sound = parts.size() >= 5 && pickle_.is_text(parts[0], "storage") &&
                       pickle_.is(parts[1], Kind::kGlobal) && pickle_.is(parts[2], Kind::kText) &&
                       pickle_.is(parts[4], Kind::kInt);
    if (!sound) fail("a persistent id that is no storage");
    const int64_t size = pickle_[parts[4]].integer;
    PickleStorage storage{parts[1], pickle_.text(parts[2]), size, 0, size};
    if (parts.size() >= 6 && pickle_.is(parts[5], Kind::kList)) {
      const std::vector<Id>& view = pickle_.list(parts[5]);
      if (view.size() != 3 || !pickle_.is(view[1], Kind::kInt) ||
          !pickle_.is(view[2], Kind::kInt)) {
        fail("a view of a storage without offset and size");
      }
      storage.offset = pickle_[view[1]].integer;
      storage.view_size = pickle_[view[2]].integer;
    }
    return make(Kind::kStorage, pickle_.storages, storage);
  }

  Id new_object() {
    const Id arguments = pop();
    return call(pop(), arguments);
  }

  void build() {
    const Id state = pop();
    const Id target = top();
    if (pickle_.is(target, Kind::kObject)) {
      pickle_.objects[pickle_[target].index].state = state;
    }
  }

  void push_long(uint64_t size) {
    const std::string_view bytes = take(size);
    if (size > 8) {
      push(text(bytes, Kind::kBigInt));
      return;
    }
    // Two's complement of as many bytes as it takes.
    uint64_t value = !bytes.empty() && (bytes.back() & 0x80) != 0 ? ~uint64_t{0} : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    push(integer(static_cast<int64_t>(value)));
  }

  void push_float() {
    uint64_t bits = 0;
    for (const char byte : take(8)) bits = bits << 8 | static_cast<unsigned char>(byte);
    const Id id = make(Kind::kFloat);
    pickle_.values[id].real = std::bit_cast<double>(bits);
    push(id);
  }

  void stack_global() {
    const Id name = pop();
    const Id module = pop();
    if (!pickle_.is(name, Kind::kText) || !pickle_.is(module, Kind::kText))
      fail("a nameless class");
    push_global(pickle_.text(module), pickle_.text(name));
  }

  // The opcodes as Python's pickletools describes them.
  void step(unsigned char opcode) {
    switch (opcode) {
      case 0x80: {
        const auto protocol = number<uint8_t>();
        if (protocol < 2 || protocol > 5) fail("protocol ", static_cast<int>(protocol));
        return;
      }
      case 0x95:
        if (number<uint64_t>() > bytes_.size() - at_) fail("a frame beyond its end");
        return;
      case '.':
        pickle_.root = pop();
        stopped_ = true;
        return;
      case '(':
        if (marks_.size() >= kMostValues) fail("more than ", kMostValues, " marks");
        marks_.push_back(stack_.size());
        return;
      case '0':
        pop();
        return;
      case '1':
        pop_marked();
        return;
      case '2':
        push(top());
        return;
      case 'N':
        push(kNothing);
        return;
      case 0x88:
        push(kTrue);
        return;
      case 0x89:
        push(kFalse);
        return;
      case 'J':
        push(integer(number<int32_t>()));
        return;
      case 'K':
        push(integer(number<uint8_t>()));
        return;
      case 'M':
        push(integer(number<uint16_t>()));
        return;
      case 0x8a:
        push_long(number<uint8_t>());
        return;
      case 0x8b:
        push_long(number<uint32_t>());
        return;
      case 'G':
        push_float();
        return;
      case 'U':
        push(text(take(number<uint8_t>())));
        return;
      case 'T':
        push(text(take(number<uint32_t>())));
        return;
      case 0x8c:
        push(text(take(number<uint8_t>())));
        return;
      case 'X':
        push(text(take(number<uint32_t>())));
        return;
      case 0x8d:
        push(text(take(number<uint64_t>())));
        return;
      case 'C':
        push(text(take(number<uint8_t>()), Kind::kBytes));
        return;
      case 'B':
        push(text(take(number<uint32_t>()), Kind::kBytes));
        return;
      case 0x8e:
        push(text(take(number<uint64_t>()), Kind::kBytes));
        return;
      case 0x96:
        push(text(take(number<uint64_t>()), Kind::kBytes));
        return;
      case ']':
        push(list({}));
        return;
      case ')':
        push(list({}));
        return;
      case 0x8f:
        push(list({}));
        return;
      case 0x91:
        push(list(pop_marked()));
        return;
      case 't':
        push(list(pop_marked()));
        return;
      case 0x85:
        push(list(pop_items(1)));
        return;
      case 0x86:
        push(list(pop_items(2)));
        return;
      case 0x87:
        push(list(pop_items(3)));
        return;
      case 'a': {
        const auto item = pop_items(1);
        append(top(), item);
        return;
      }
      case 'e':
      case 0x90: {
        const auto items = pop_marked();
        append(top(), items);
        return;
      }
      case '}':
        push(dict());
        return;
      case 's': {
        const auto entry = pop_items(2);
        set(top(), entry);
        return;
      }
      case 'u': {
        const auto entries = pop_marked();
        set(top(), entries);
        return;
      }
      case 'c': {
        const std::string_view module = line();
        push_global(module, line());
        return;
      }
      case 0x93:
        stack_global();
        return;
      case 'R':
      case 0x81:
        push(new_object());
        return;
      case 0x92:
        pop();  // keyword arguments
        push(new_object());
        return;
      case 'b':
        build();
        return;
      case 'Q':
        push(persistent(pop()));
        return;
      case 'q':
        memoize(number<uint8_t>());
        return;
      case 'r':
        memoize(number<uint32_t>());
        return;
      case 0x94:
        memoize(static_cast<uint32_t>(memo_.size()));
        return;
      case 'h':
        recall(number<uint8_t>());
        return;
      case 'j':
        recall(number<uint32_t>());
        return;
      default:
        fail("the opcode ", static_cast<int>(opcode));
    }
  }

  const std::string& where_;
  const std::string_view bytes_;
  std::size_t at_ = 0;
  std::size_t slots_ = 0;
  bool stopped_ = false;
  Pickle pickle_;
  std::vector<Id> stack_;
  std::vector<std::size_t> marks_;
  std::map<uint32_t, Id> memo_;  // a hash table's keys could be made to collide
};

}  // namespace

bool Pickle::is_global(Id id, std::string_view module, std::string_view name) const {
  if (!is(id, Kind::kGlobal)) return false;
  const PickleGlobal& global = globals[values[id].index];
  return global.module == module && global.name == name;
}

Id Pickle::find(Id id, std::string_view key) const {
  if (!is(id, Kind::kDict)) return 0;
  const auto& entries = dict(id);
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    if (is_text(entry->first, key)) return entry->second;
  }
  return 0;
}

Pickle read_pickle(const std::string& where, std::string_view bytes) {
  return PickleMachine(where, bytes).run();
}

}  // namespace convkit::detail
