#include <convkit/checkpoint.h>

#include "core/strides.h"
#include "files/checkpoint.h"
#include "files/file.h"
#include "files/foreign.h"
#include "files/problem.h"
#include "files/safetensors_read.h"
#include "files/safetensors_write.h"
#include "files/shards.h"
#include "files/torch_read.h"
#include "files/torch_write.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <istream>
#include <new>
#include <ostream>
#include <tuple>

namespace convkit {
namespace {

using detail::is_storable;
using detail::MappedFile;
using detail::Problem;

/// Whether a file may be a .safetensors: a plausible length, and a header that begins as JSON does.
bool may_be_safetensors(std::string_view bytes) {
  uint64_t length = 0;
  if (bytes.size() < sizeof(length)) return false;
  std::memcpy(&length, bytes.data(), sizeof(length));
  const bool begins =
      bytes.size() == 8 || std::string_view("{ \t\n\r").find(bytes[8]) != std::string_view::npos;
  return length <= 100'000'000 && begins;
}

}  // namespace

bool detail::is_storable(const torch::Tensor& tensor) {
  return tensor.defined() && !tensor.is_nested() && tensor.layout() == torch::kStrided &&
         tensor.has_storage() && !tensor.is_meta() && !tensor.is_quantized() &&
         !tensor._is_zerotensor();
}

namespace {

/// Where the memory of a state_dict's tensor begins and ends.
struct MemoryArea {
  const char* begin;
  const char* end;
  std::size_t index;
};

MemoryArea area_of(const torch::Tensor& tensor, std::size_t index) {
  const char* begin = static_cast<const char*>(tensor.const_data_ptr());
  const int64_t elements = detail::extent(tensor.sizes(), tensor.strides());
  return {begin, begin + elements * static_cast<int64_t>(tensor.element_size()), index};
}

}  // namespace

std::vector<std::vector<std::string>> shared_tensors(const StateDict& state) {
  std::vector<MemoryArea> areas;
  for (std::size_t i = 0; i < state.size(); ++i) {
    const torch::Tensor& tensor = state[i].value();
    if (is_storable(tensor) && tensor.numel() > 0) areas.push_back(area_of(tensor, i));
  }
  std::sort(areas.begin(), areas.end(), [](const MemoryArea& a, const MemoryArea& b) {
    return std::tie(a.begin, a.index) < std::tie(b.begin, b.index);
  });

  std::vector<std::vector<std::string>> groups;
  for (std::size_t first = 0; first < areas.size();) {
    const char* end = areas[first].end;
    std::size_t next = first + 1;
    for (; next < areas.size() && areas[next].begin < end; ++next) {
      end = std::max(end, areas[next].end);
    }
    if (next - first > 1) {
      auto& group = groups.emplace_back();
      for (; first < next; ++first) group.push_back(state[areas[first].index].key());
    }
    first = next;
  }
  return groups;
}

CheckpointError::CheckpointError(Problem problem, std::string text,
                                 std::vector<Candidate> candidates)
    : c10::Error({__func__, __FILE__, static_cast<uint32_t>(__LINE__)}, std::move(text)),
      problem_(problem),
      candidates_(std::move(candidates)) {}

Checkpoint detail::read_checkpoint(const std::shared_ptr<const MappedFile>& file,
                                   const LoadCheckpointOptions& options,
                                   const std::string* folder) {
  const std::string_view bytes = file->bytes();
  bool index = false;
  if (!may_be_safetensors(bytes)) {
    Checkpoint pickled;
    const auto take = [&](const Pickle& pickle, const MakeTensor& make, ScriptClasses* classes) {
      pickled = checkpoint_of(file->path(), pickle, options, make, classes);
    };
    if (bytes.starts_with("PK\3\4")) {
      read_torch_zip(file, take);
      return pickled;
    }
    if (is_torch_legacy(bytes)) {
      read_torch_legacy(file, take);
      return pickled;
    }
    TORCH_CHECK(file->size() > 0, "load_checkpoint: ", file->path(),
                " is empty, as an interrupted download leaves it: download it again");
    index = folder != nullptr && is_index(bytes);
    const std::string kind = index ? "" : foreign_kind(bytes, file->path());
    if (!kind.empty()) fail_to_load(Problem::kNotACheckpoint, file->path(), " is ", kind);
    const bool named = file->path().ends_with(".safetensors");
    if (!index && !named && bytes.size() > 8) {
      fail_to_load(Problem::kNotACheckpoint, file->path(),
                   " is neither a file of torch.save nor a .safetensors file");
    }
  }
  Checkpoint checkpoint = index ? read_shards(*file, *folder) : read_safetensors(file);
  if (!options.at.empty()) {
    // Its names have dots where a pickle has members.
    checkpoint.state = with_prefix_removed(checkpoint.state, options.at + ".");
    TORCH_CHECK_VALUE(!checkpoint.state.is_empty(), "load_checkpoint: ", file->path(),
                      ": expected names that begin with .at and a dot, got ", shown(options.at));
  }
  return checkpoint;
}

namespace {

/// Gives what `read` does. Its errors have a kind: damaged, where they say no other.
template <typename Read>
Checkpoint loaded(const std::string& name, const Read& read) {
  try {
    return detail::with_problem(Problem::kDamaged, read);
  } catch (const std::bad_alloc&) {
    detail::fail_to_load(Problem::kUnsupported, name, ": no memory for what it lists");
  }
}

Checkpoint loaded(const std::string& name, std::string_view bytes,
                  const LoadCheckpointOptions& options) {
  return loaded(name,
                [&] { return detail::read_checkpoint(MappedFile::copy(name, bytes), options); });
}

}  // namespace

Problem detail::problem_of_opening(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (std::filesystem::is_regular_file(status)) return Problem::kUnsupported;
  if (std::filesystem::exists(status)) return Problem::kNotACheckpoint;
  const bool none = status.type() == std::filesystem::file_type::not_found;
  const std::string index = path + ".index.json";
  if (none && std::filesystem::exists(index, error)) {
    detail::fail_to_load(Problem::kNotFound, "there is no ", detail::shown_path(path),
                         ", but the index of its shards: load ", detail::shown_path(index));
  }
  return none ? Problem::kNotFound : Problem::kUnsupported;
}

namespace {

bool is_torch_name(const std::string& name) {
  return name.ends_with(".pt") || name.ends_with(".pth");
}

/// Refuses what cannot be written, before anything is.
void check_to_save(const StateDict& state, bool torch, const SaveCheckpointOptions& options) {
  for (const auto& entry : state) {
    const torch::Tensor& tensor = entry.value();
    detail::json_text("names", entry.key());
    TORCH_CHECK_VALUE(is_storable(tensor), "save_checkpoint: expected a dense tensor under ",
                      detail::shown(entry.key()), ", got ", tensor.toString());
  }
  if (torch) {
    TORCH_CHECK_VALUE(options.metadata.empty(),
                      "save_checkpoint: expected no metadata for a .pt or .pth "
                      "file, which has none, got ",
                      options.metadata.size(), " entries");
    TORCH_CHECK_VALUE(options.max_shard_size == 0,
                      "save_checkpoint: expected no max_shard_size for a .pt or .pth file, which "
                      "is always one, got ",
                      options.max_shard_size);
    return;
  }
  const auto shared = shared_tensors(state);
  if (!options.copy_shared && !shared.empty()) {
    constexpr std::size_t kMostNamed = 10;
    std::string names;
    for (std::size_t i = 0; i < std::min(shared.front().size(), kMostNamed); ++i) {
      names += (names.empty() ? "" : ", ") + detail::shown(shared.front()[i]);
    }
    if (shared.front().size() > kMostNamed) names += ", ...";
    TORCH_CHECK_VALUE(false, "save_checkpoint: expected tensors with memory of their own, but ",
                      names, " share theirs", shared.size() > 1 ? " (as others do)" : "",
                      ": leave all but one of them out, or write each whole by "
                      "{.copy_shared = true}");
  }
  detail::check_safetensors(state);
}

void write(const detail::TakeBytes& take, const StateDict& state, bool torch,
           const SaveCheckpointOptions& options) {
  if (torch) {
    detail::write_torch_zip(take, state);
  } else {
    detail::write_safetensors(take, state, options.metadata);
  }
}

/// Hands the bytes of a file with this extension to `take`.
void write_bytes(const detail::TakeBytes& take, const StateDict& state,
                 const std::string& extension, const SaveCheckpointOptions& options) {
  const bool torch = extension == ".pt" || extension == ".pth";
  TORCH_CHECK_VALUE(torch || extension == ".safetensors",
                    "save_checkpoint: expected the extension .safetensors, .pt or .pth, got ",
                    detail::shown(extension));
  TORCH_CHECK_VALUE(options.max_shard_size == 0,
                    "save_checkpoint: expected no max_shard_size, which only files have, got ",
                    options.max_shard_size);
  check_to_save(state, torch, options);
  detail::with_problem(Problem::kCannotBeWritten, [&] { write(take, state, torch, options); });
}

}  // namespace

Checkpoint load_checkpoint(const std::string& path, const LoadCheckpointOptions& options) {
  return loaded(detail::shown_path(path), [&] {
    const auto file = detail::with_problem(detail::problem_of_opening(path),
                                           [&] { return MappedFile::open(path); });
    const std::string folder = std::filesystem::path(path).parent_path();
    return detail::read_checkpoint(file, options, &folder);
  });
}

Checkpoint load_checkpoint(std::span<const std::byte> bytes, const LoadCheckpointOptions& options) {
  return loaded("the buffer", {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, options);
}

Checkpoint load_checkpoint(std::istream& stream, const LoadCheckpointOptions& options) {
  if (!stream) detail::fail_to_load(Problem::kNotFound, "cannot read the stream");
  std::string bytes;
  std::vector<char> piece(1 << 20);
  try {
    // Its buffer, since a stream may throw at its end, as it was told to.
    for (std::streamsize size = 1; size > 0;) {
      size = stream.rdbuf()->sgetn(piece.data(), static_cast<std::streamsize>(piece.size()));
      bytes.append(piece.data(), static_cast<std::size_t>(size));
    }
  } catch (const std::ios_base::failure& failure) {
    detail::fail_to_load(Problem::kUnsupported, "cannot read the stream: ", failure.what());
  }
  return loaded("the stream", bytes, options);
}

void save_checkpoint(const std::string& path, const StateDict& state,
                     const SaveCheckpointOptions& options) {
  const bool torch = is_torch_name(path);
  TORCH_CHECK_VALUE(
      torch || path.ends_with(".safetensors"),
      "save_checkpoint: expected a name that ends with .safetensors, .pt or .pth, got ",
      detail::shown_path(path));
  check_to_save(state, torch, options);
  detail::with_problem(Problem::kCannotBeWritten, [&] {
    if (options.max_shard_size > 0) return detail::write_shards(path, state, options);
    detail::NewFile file(path);
    write([&](std::string_view bytes) { file.write(bytes); }, state, torch, options);
    file.commit();
  });
}

std::vector<std::byte> save_checkpoint(const StateDict& state, const std::string& extension,
                                       const SaveCheckpointOptions& options) {
  std::vector<std::byte> result;
  std::size_t size = 0;
  for (const auto& entry : state) size += is_storable(entry.value()) ? entry.value().nbytes() : 0;
  write_bytes(
      [&](std::string_view bytes) {
        if (result.empty()) result.reserve(size + bytes.size() + 4096);
        const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
        result.insert(result.end(), begin, begin + bytes.size());
      },
      state, extension, options);
  return result;
}

void save_checkpoint(std::ostream& stream, const StateDict& state, const std::string& extension,
                     const SaveCheckpointOptions& options) {
  const auto check = [](bool good) {
    if (good) return;
    throw CheckpointError(Problem::kCannotBeWritten, "save_checkpoint: the stream takes no more");
  };
  check(stream.good());
  // Its buffer, since a stream may throw something else, as it was told to.
  const auto put = [&](std::string_view bytes) {
    const auto size = static_cast<std::streamsize>(bytes.size());
    check(stream.rdbuf()->sputn(bytes.data(), size) == size);
  };
  write_bytes(put, state, extension, options);
  check(stream.rdbuf()->pubsync() == 0);
}

}  // namespace convkit
