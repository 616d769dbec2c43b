#include "files/shards.h"

#include "files/checkpoint.h"
#include "files/named_tensors.h"
#include "files/problem.h"
#include "files/safetensors.h"
#include "files/safetensors_write.h"

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

namespace convkit::detail {
namespace {

using nlohmann::json;

/// What an index says: the names of the tensors in each shard, and texts.
struct Index {
  std::map<std::string, std::set<std::string, std::less<>>> shards;
  std::map<std::string, std::string> metadata;
};

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.size() < 256 &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

Index read_index(const MappedFile& file) {
  const std::string& path = file.path();
  TORCH_CHECK(file.size() <= kLongestHeader, "load_checkpoint: ", path,
              ": expected an index of at most ", kLongestHeader, " bytes, got ", file.size());
  const std::string_view text = file.bytes();
  // An index has two levels; what is deeper is left out as it is parsed.
  const json parsed = json::parse(
      text.begin(), text.end(),
      [](int depth, json::parse_event_t event, json&) {
        const bool opens =
            event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
        return !opens || depth < 2;
      },
      /*allow_exceptions=*/false);
  TORCH_CHECK(
      parsed.is_object() && parsed.contains("weight_map") && parsed["weight_map"].is_object(),
      "load_checkpoint: ", path,
      ": expected an object with \"weight_map\", the index of shards, got ",
      parsed.is_discarded() ? "no JSON" : "another");
  Index index;
  for (const auto& [tensor, shard] : parsed["weight_map"].items()) {
    TORCH_CHECK(shard.is_string() && is_plain_name(shard), "load_checkpoint: ", path,
                ": expected the name of a file in the same folder for ", shown(tensor), ", got ",
                shard.is_string() ? shown(shard.get<std::string>()) : "something else");
    index.shards[shard].insert(tensor);
  }
  if (parsed.contains("metadata") && parsed["metadata"].is_object()) {
    for (const auto& [key, value] : parsed["metadata"].items()) {
      if (value.is_string()) index.metadata[key] = value;
      if (value.is_number()) index.metadata[key] = value.dump();
      if (value.is_boolean()) index.metadata[key] = value ? "True" : "False";
    }
  }
  return index;
}

/// Opens a shard; an error says which index has its name.
std::shared_ptr<const MappedFile> opened(const std::string& index, const std::string& shard) {
  try {
    return MappedFile::open(shard);
  } catch (const c10::Error& error) {
    const std::string_view text = error.what_without_backtrace();
    constexpr std::string_view kCaller = "load_checkpoint: ";
    fail_to_load(Problem::kDamaged, index, ": ", text.substr(kCaller.size()));
  }
}

/// The names of the shards, "model-00001-of-00003.safetensors", beside `path`.
std::string shard_path(const std::string& path, std::size_t number, std::size_t count) {
  constexpr std::string_view kExtension = ".safetensors";
  char suffix[64];
  std::snprintf(suffix, sizeof(suffix), "-%05zu-of-%05zu.safetensors", number, count);
  return path.substr(0, path.size() - kExtension.size()) + suffix;
}

/// Splits a state_dict in its order. A tensor above the limit has a shard of its own, and the
/// tensors around it may share one.
std::vector<StateDict> split(const StateDict& state, uint64_t limit) {
  std::vector<StateDict> shards;
  StateDict current;
  uint64_t size = 0;
  for (const auto& entry : state) {
    const uint64_t more = entry.value().nbytes();
    if (more > limit) {
      shards.emplace_back().insert(entry.key(), entry.value());
      continue;
    }
    if (size + more > limit) {
      shards.push_back(std::move(current));
      current = StateDict();
      size = 0;
    }
    current.insert(entry.key(), entry.value());
    size += more;
  }
  if (!current.is_empty()) shards.push_back(std::move(current));
  return shards;
}

TakeBytes into(NewFile& file) {
  return [&file](std::string_view bytes) { file.write(bytes); };
}

}  // namespace

bool is_index(std::string_view text) {
  const std::size_t begin = text.substr(0, 512).find_first_not_of(" \t\r\n");
  return begin != std::string_view::npos && text[begin] == '{' &&
         text.substr(0, kLongestHeader).find("\"weight_map\"") != std::string_view::npos;
}

Checkpoint read_shards(const MappedFile& index_file, const std::string& folder) {
  const std::string& path = index_file.path();
  Index index = read_index(index_file);
  NamedTensors tensors;
  std::map<std::string, std::string> metadata;
  for (const auto& [name, listed] : index.shards) {
    Checkpoint shard = read_checkpoint(opened(path, std::filesystem::path(folder) / name));
    for (const auto& entry : shard.state) {
      TORCH_CHECK(listed.contains(entry.key()), "load_checkpoint: ", path,
                  ": expected only the tensors that it lists in ", shown_path(name), ", got ",
                  shown(entry.key()));
      tensors.emplace_back(entry.key(), entry.value());
    }
    for (const std::string& tensor : listed) {
      TORCH_CHECK(shard.state.contains(tensor), "load_checkpoint: ", path, ": expected ",
                  shown(tensor), " in ", shown_path(name), ", got none");
    }
    metadata.merge(shard.metadata);
  }
  index.metadata.merge(metadata);
  return {state_dict_of(path, std::move(tensors)), std::move(index.metadata)};
}

void write_shards(const std::string& path, const StateDict& state,
                  const SaveCheckpointOptions& options) {
  const std::vector<StateDict> shards = split(state, options.max_shard_size);
  NewFile index_file(path + ".index.json");
  if (shards.size() <= 1) {
    NewFile whole(path);
    write_safetensors(into(whole), state, options.metadata);
    whole.flush();
    index_file.remove_old();
    whole.commit();
    return;
  }
  nlohmann::ordered_json index = {{"metadata", {{"total_size", 0}}},
                                  {"weight_map", nlohmann::ordered_json::object()}};
  for (const auto& [key, value] : options.metadata) index["metadata"][key] = value;
  uint64_t total = 0;
  std::vector<std::unique_ptr<NewFile>> files;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string shard = shard_path(path, i + 1, shards.size());
    const std::string name = std::filesystem::path(shard).filename();
    for (const auto& entry : shards[i]) {
      index["weight_map"][entry.key()] = name;
      total += entry.value().nbytes();
    }
    files.push_back(std::make_unique<NewFile>(shard));
    write_safetensors(into(*files.back()), shards[i], {{"format", "pt"}});
    files.back()->flush();
  }
  index["metadata"]["total_size"] = total;
  index_file.write(index.dump(2, ' ', /*ensure_ascii=*/true));
  index_file.flush();
  // From here on there is no index of a mixture of old and new shards.
  index_file.remove_old();
  for (const auto& file : files) file->commit();
  index_file.commit();
  std::filesystem::remove(path);
}

}  // namespace convkit::detail
