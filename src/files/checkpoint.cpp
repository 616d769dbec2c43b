#include <convkit/checkpoint.h>

#include "core/strides.h"
#include "files/checkpoint.h"
#include "files/file.h"
#include "files/safetensors_read.h"
#include "files/safetensors_write.h"
#include "files/torch_read.h"
#include "files/torch_write.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <new>
#include <tuple>

namespace convkit {
namespace {

using detail::MappedFile;

/// Whether a file may be a .safetensors: a plausible length, and a header that begins as JSON does.
bool may_be_safetensors(std::string_view bytes) {
  uint64_t length = 0;
  if (bytes.size() < sizeof(length)) return false;
  std::memcpy(&length, bytes.data(), sizeof(length));
  const bool begins =
      bytes.size() == 8 || std::string_view("{ \t\n\r").find(bytes[8]) != std::string_view::npos;
  return length <= 100'000'000 && begins;
}

/// A kind of file that is mistaken for a checkpoint: how it begins, and what to do.
struct ForeignFile {
  std::size_t offset;
  std::string_view magic;
  const char* what;
};

constexpr const char* kPage =
    "a web page, as a failed download leaves it: download the file itself";

constexpr ForeignFile kForeign[] = {
    {0, "version https://git-lfs", "a pointer of Git LFS: fetch the file itself by `git lfs pull`"},
    {0, "<!doctype", kPage},
    {0, "<html", kPage},
    {0, "<?xml", "an XML document, as a failed download leaves it: download the file itself"},
    {257, "ustar", "a tar archive: unpack it first"},
    {0, "\x1f\x8b", "compressed by gzip: unpack it first"},
    {0, "\x28\xb5\x2f\xfd", "compressed by zstd: unpack it first"},
    {0, "\x89HDF", "an HDF5 file, as Keras writes it: load it in Python and save it by torch.save"},
    {0, "GGUF", "a GGUF file: load it in Python and save it by torch.save"},
    {0, "\x93NUMPY", "a NumPy array: load it in Python and save it by torch.save"},
    {0, "{", "a text file of JSON, perhaps the index of several .safetensors files: load those"},
};

bool has_magic(std::string_view bytes, const ForeignFile& foreign) {
  if (bytes.size() < foreign.offset) return false;
  const std::string_view begin = bytes.substr(foreign.offset, foreign.magic.size());
  return std::equal(
      begin.begin(), begin.end(), foreign.magic.begin(), foreign.magic.end(),
      [](unsigned char a, unsigned char b) { return std::tolower(a) == b || a == b; });
}

void refuse_foreign(const MappedFile& file) {
  TORCH_CHECK(file.size() > 0, "load_checkpoint: ", file.path(),
              " is empty, as an interrupted download leaves it: download it again");
  std::string_view bytes = file.bytes();
  const std::size_t text = bytes.substr(0, 512).find_first_not_of(" \t\r\n");
  if (text != std::string_view::npos && (bytes[text] == '<' || bytes[text] == '{')) {
    bytes.remove_prefix(text);
  }
  for (const ForeignFile& foreign : kForeign) {
    TORCH_CHECK(!has_magic(bytes, foreign), "load_checkpoint: ", file.path(), " is ", foreign.what);
  }
}

bool is_storable(const torch::Tensor& tensor) {
  return tensor.defined() && !tensor.is_nested() && tensor.layout() == torch::kStrided &&
         tensor.has_storage() && !tensor.is_meta() && !tensor.is_quantized() &&
         !tensor._is_zerotensor();
}

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

Checkpoint detail::read_checkpoint(const std::shared_ptr<const MappedFile>& file,
                                   const LoadCheckpointOptions& options) {
  const std::string_view bytes = file->bytes();
  if (!may_be_safetensors(bytes)) {
    if (bytes.starts_with("PK\3\4")) return read_torch_zip(file, options);
    if (bytes.starts_with('\x80')) return read_torch_legacy(file, options);
    refuse_foreign(*file);
  }
  Checkpoint checkpoint = read_safetensors(file);
  if (!options.at.empty()) {
    // Its names have dots where a pickle has members.
    checkpoint.state = with_prefix_removed(checkpoint.state, options.at + ".");
    TORCH_CHECK_VALUE(!checkpoint.state.is_empty(), "load_checkpoint: ", file->path(),
                      ": expected names that begin with .at and a dot, got ", shown(options.at));
  }
  return checkpoint;
}

Checkpoint load_checkpoint(const std::string& path, const LoadCheckpointOptions& options) {
  try {
    return detail::read_checkpoint(MappedFile::open(path), options);
  } catch (const std::bad_alloc&) {
    TORCH_CHECK(false, "load_checkpoint: ", detail::shown_path(path),
                ": no memory for what it lists");
  }
}

void save_checkpoint(const std::string& path, const StateDict& state,
                     const SaveCheckpointOptions& options) {
  const bool torch = path.ends_with(".pt") || path.ends_with(".pth");
  TORCH_CHECK_VALUE(
      torch || path.ends_with(".safetensors"),
      "save_checkpoint: expected a name that ends with .safetensors, .pt or .pth, got ",
      detail::shown_path(path));
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
    detail::write_torch_zip(path, state);
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
  detail::write_safetensors(path, state, options.metadata);
}

}  // namespace convkit
