#include "files/pickle_machine.h"

#include "files/pickle_values.h"
#include "files/problem.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <map>

namespace convkit::detail {
namespace {

/// The stack machine that a pickle is a program for.
class PickleMachine : PickleBuilder {
 public:
  PickleMachine(const std::string& where, std::string_view bytes) : PickleBuilder(where, bytes) {}

  Pickle run() {
    while (!stopped_) step(static_cast<unsigned char>(take(1)[0]));
    pickle_.size = at_;
    return std::move(pickle_);
  }

 private:
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
  /// Takes what lies above the last mark.
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
    const Id id = top();
    if (key < memo_.size()) {
      memo_[key] = id;
    } else if (key == memo_.size()) {
      memo_.push_back(id);
    } else {
      if (odd_memo_.size() > pickle_.values.size()) fail("more memo entries than values");
      odd_memo_[key] = id;
    }
    ++memoized_;
  }
  void recall(uint32_t key) {
    if (key < memo_.size()) return push(memo_[key]);
    const auto found = odd_memo_.find(key);
    if (found == odd_memo_.end()) fail("a memo without entry ", key);
    push(found->second);
  }

  void check_protocol(int protocol) {
    if (protocol >= 1 && protocol <= 5) return;
    fail_to_load(Problem::kUnsupported, where_,
                 ": expected a pickle of protocol 1 to 5, got protocol ", protocol, " at byte ",
                 at_);
  }
  void check_frame(uint64_t size) {
    if (size > bytes_.size() - at_) fail("a frame beyond its end");
  }
  void stop() {
    pickle_.root = pop();
    stopped_ = true;
  }
  void mark() {
    if (marks_.size() >= kMostValues) fail("more than ", kMostValues, " marks");
    marks_.push_back(stack_.size());
  }

  void append_items(const std::vector<Id>& items) { append(top(), items); }
  void set_items(const std::vector<Id>& items) { set(top(), items); }

  /// Protocol 1 writes bools and numbers above 31 bits as text, and Python 2's cPickle does so in
  /// protocol 2 too.
  void push_line() {
    const std::string_view digits = line();
    if (digits == "00" || digits == "01") return push(digits == "01" ? kTrue : kFalse);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value);
    if (error != std::errc() || end != digits.end()) fail("no number");
    push(integer(value));
  }

  void push_long_line() {
    std::string_view digits = line();
    if (digits.ends_with('L')) digits.remove_suffix(1);
    const std::size_t first = digits.starts_with('-') ? 1 : 0;
    if (digits.size() == first ||
        digits.find_first_not_of("0123456789", first) != std::string_view::npos) {
      fail("no number");
    }
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value);
    push(error == std::errc() ? integer(value) : text(digits, PickleKind::kBigInt));
  }

  void push_global() {
    const std::string_view module = line();
    push(global(module, line()));
  }

  Id new_object() {
    const Id arguments = pop();
    return call(pop(), arguments);
  }

  void build() {
    const Id state = pop();
    const Id target = top();
    if (pickle_.is(target, PickleKind::kObject)) {
      pickle_.objects[pickle_[target].index].state = state;
    }
  }

  void push_long(uint64_t size) {
    const std::string_view bytes = take(size);
    if (size > 8) {
      push(text(bytes, PickleKind::kBigInt));
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
    const Id id = make(PickleKind::kFloat);
    pickle_.values[id].real = std::bit_cast<double>(bits);
    push(id);
  }

  void stack_global() {
    const Id name = pop();
    const Id module = pop();
    if (!pickle_.is(name, PickleKind::kText) || !pickle_.is(module, PickleKind::kText))
      fail("a nameless class");
    push(global(pickle_.text(module), pickle_.text(name)));
  }

  // The opcodes as Python's pickletools describes them: longer than other functions, but a table.
  void step(unsigned char opcode) {
    switch (opcode) {
      case 0x80:
        return check_protocol(number<uint8_t>());
      case 0x95:
        return check_frame(number<uint64_t>());
      case '.':
        return stop();
      case '(':
        return mark();
      case '0':
        return void(pop());
      case '1':
        return void(pop_marked());
      case '2':
        return push(top());
      case 'N':
        return push(kNothing);
      case 0x88:
        return push(kTrue);
      case 0x89:
        return push(kFalse);
      case 'I':
        return push_line();
      case 'L':
        return push_long_line();
      case 'J':
        return push(integer(number<int32_t>()));
      case 'K':
        return push(integer(number<uint8_t>()));
      case 'M':
        return push(integer(number<uint16_t>()));
      case 0x8a:
        return push_long(number<uint8_t>());
      case 0x8b:
        return push_long(number<uint32_t>());
      case 'G':
        return push_float();
      case 'U':
      case 0x8c:
        return push(text(take(number<uint8_t>())));
      case 'T':
      case 'X':
        return push(text(take(number<uint32_t>())));
      case 0x8d:
        return push(text(take(number<uint64_t>())));
      case 'C':
        return push(text(take(number<uint8_t>()), PickleKind::kBytes));
      case 'B':
        return push(text(take(number<uint32_t>()), PickleKind::kBytes));
      case 0x8e:
      case 0x96:
        return push(text(take(number<uint64_t>()), PickleKind::kBytes));
      case ']':
      case ')':
      case 0x8f:
        return push(list({}));
      case 't':
      case 0x91:
        return push(list(pop_marked()));
      case 0x85:
        return push(list(pop_items(1)));
      case 0x86:
        return push(list(pop_items(2)));
      case 0x87:
        return push(list(pop_items(3)));
      case 'a':
        return append_items(pop_items(1));
      case 'e':
      case 0x90:
        return append_items(pop_marked());
      case '}':
        return push(dict());
      case 's':
        return set_items(pop_items(2));
      case 'u':
        return set_items(pop_marked());
      case 'c':
        return push_global();
      case 0x93:
        return stack_global();
      case 'R':
      case 0x81:
        return push(new_object());
      case 0x92:
        pop();
        return push(new_object());  // with keyword arguments
      case 'b':
        return build();
      case 'Q':
        return push(persistent(pop()));
      case 'q':
        return memoize(number<uint8_t>());
      case 'r':
        return memoize(number<uint32_t>());
      case 0x94:
        return memoize(static_cast<uint32_t>(memoized_));
      case 'h':
        return recall(number<uint8_t>());
      case 'j':
        return recall(number<uint32_t>());
      case 'F':
      case 'S':
      case 'V':
      case 'P':
      case 'p':
      case 'g':
      case 'd':
      case 'l':
      case 'i':
      case 'o':
        fail_to_load(
            Problem::kUnsupported, where_,
            ": expected a pickle of protocol 1 to 5, got one of protocol 0 at byte ", at_,
            ", whose tensors torch.load does not read either: save it again by torch.save");
      default:
        fail("the opcode ", static_cast<int>(opcode));
    }
  }

  bool stopped_ = false;
  std::vector<Id> stack_;
  std::vector<std::size_t> marks_;
  std::vector<Id> memo_;             // its entries 0, 1, ...
  std::map<uint32_t, Id> odd_memo_;  // others; a hash table's keys could be made to collide
  std::size_t memoized_ = 0;
};

}  // namespace

bool Pickle::is_global(Id id, std::string_view module, std::string_view name) const {
  if (!is(id, PickleKind::kGlobal)) return false;
  const PickleGlobal& global = globals[values[id].index];
  return global.module == module && global.name == name;
}

Id Pickle::find(Id id, std::string_view key) const {
  if (!is(id, PickleKind::kDict)) return 0;
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
