#include "files/script_classes.h"

#include "files/inflate.h"

#include <algorithm>
#include <optional>

namespace convkit::detail {
namespace {

/// Adds the texts of a list such as `["weight", "bias", ]`.
void add_texts(std::string_view list, std::set<std::string, std::less<>>& texts) {
  for (;;) {
    const std::size_t quote = list.find('"');
    if (quote == std::string_view::npos) return;
    std::string text;
    std::size_t at = quote + 1;
    for (; at < list.size() && list[at] != '"'; ++at) {
      if (list[at] == '\\' && at + 1 < list.size()) ++at;
      text += list[at];
    }
    texts.insert(std::move(text));
    list.remove_prefix(std::min(at + 1, list.size()));
  }
}

}  // namespace

const ScriptClass* ScriptClasses::find(std::string_view module, std::string_view name) {
  std::string record = folder_ + "code/" + std::string(module) + ".py";
  std::replace(record.begin() + static_cast<std::ptrdiff_t>(folder_.size()), record.end() - 3, '.',
               '/');
  auto file = files_.find(record);
  if (file == files_.end()) file = files_.emplace(record, classes_of(record)).first;
  const auto found = file->second.find(name);
  return found == file->second.end() ? nullptr : &found->second;
}

ScriptClasses::Classes ScriptClasses::classes_of(const std::string& record) {
  const auto found = records_.find(record);
  if (found == records_.end() || found->second.encrypted) return {};
  std::optional<std::string> unpacked;
  if (!found->second.stored) {
    unpacked = inflate(found->second.bytes, left_);
    if (!unpacked) return {};
  }
  std::string_view source = unpacked ? std::string_view(*unpacked) : found->second.bytes;
  if (source.size() > left_) return {};
  left_ -= source.size();
  Classes classes;
  ScriptClass* current = nullptr;
  while (!source.empty()) {
    const std::string_view line = source.substr(0, source.find('\n'));
    source.remove_prefix(std::min(line.size() + 1, source.size()));
    constexpr std::string_view kClass = "class ";
    constexpr std::string_view kParameters = "  __parameters__ = [";
    constexpr std::string_view kBuffers = "  __buffers__ = [";
    if (line.starts_with(kClass)) {
      const std::string_view rest = line.substr(kClass.size());
      current = &classes[std::string(rest.substr(0, rest.find_first_of("(:")))];
      current->is_module = rest.find("(Module)") != std::string_view::npos;
    } else if (current != nullptr && line.starts_with(kParameters)) {
      add_texts(line.substr(kParameters.size()), current->tensors);
    } else if (current != nullptr && line.starts_with(kBuffers)) {
      current->lists_tensors = true;
      add_texts(line.substr(kBuffers.size()), current->tensors);
    }
  }
  return classes;
}

}  // namespace convkit::detail
