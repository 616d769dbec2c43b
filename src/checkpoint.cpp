#include <convkit/checkpoint.h>

#include "file.h"
#include "formats.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
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

/// What is mistaken for a checkpoint, how it begins, and what to do.
struct Foreign {
  std::size_t offset;
  std::string_view magic;
  const char* what;
};

constexpr const char* kPage =
    "a web page, as a failed download leaves it: download the file itself";

constexpr Foreign kForeign[] = {
    {0, "version https://git-lfs", "a pointer of Git LFS: fetch the file itself by `git lfs pull`"},
    {0, "<!doctype", kPage},
    {0, "<html", kPage},
    {0, "<?xml", "an XML document, as a failed download leaves it: download the file itself"},
    {0, "PK\3\4",
     "a zip file, as torch.save writes it: load it in Python and save it by safetensors"},
    {0, "\x80",
     "a pickle, as torch.save wrote it before torch 1.6: load it in Python and save it by "
     "safetensors"},
    {257, "ustar", "a tar archive: unpack it first"},
    {0, "\x1f\x8b", "compressed by gzip: unpack it first"},
    {0, "\x28\xb5\x2f\xfd", "compressed by zstd: unpack it first"},
    {0, "\x89HDF",
     "an HDF5 file, as Keras writes it: load it in Python and save it by safetensors"},
    {0, "GGUF", "a GGUF file: load it in Python and save it by safetensors"},
    {0, "\x93NUMPY", "a NumPy array: load it in Python and save it by safetensors"},
    {0, "{", "a text file of JSON, perhaps the index of several .safetensors files: load those"},
};

bool has_magic(std::string_view bytes, const Foreign& foreign) {
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
  if (may_be_safetensors(bytes)) return;
  const std::size_t text = bytes.substr(0, 512).find_first_not_of(" \t\r\n");
  if (text != std::string_view::npos && (bytes[text] == '<' || bytes[text] == '{')) {
    bytes.remove_prefix(text);
  }
  for (const Foreign& foreign : kForeign) {
    TORCH_CHECK(!has_magic(bytes, foreign), "load_checkpoint: ", file.path(), " is ", foreign.what);
  }
}

/// Where a tensor's memory begins and ends.
struct Area {
  const char* begin;
  const char* end;
  std::size_t index;
};

Area area_of(const torch::Tensor& tensor, std::size_t index) {
  const char* begin = static_cast<const char*>(tensor.data_ptr());
  int64_t last = tensor.numel() == 0 ? -1 : 0;
  for (int64_t i = 0; i < tensor.dim() && last >= 0; ++i) {
    last += (tensor.size(i) - 1) * tensor.stride(i);
  }
  return {begin, begin + (last + 1) * static_cast<int64_t>(tensor.element_size()), index};
}

}  // namespace

std::vector<std::vector<std::string>> shared_tensors(const StateDict& state) {
  std::vector<Area> areas;
  for (std::size_t i = 0; i < state.size(); ++i) {
    const torch::Tensor& tensor = state[i].value();
    const bool dense =
        tensor.defined() && tensor.layout() == torch::kStrided && tensor.has_storage();
    if (dense && !tensor.is_meta() && tensor.numel() > 0) areas.push_back(area_of(tensor, i));
  }
  std::sort(areas.begin(), areas.end(), [](const Area& a, const Area& b) {
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

Checkpoint detail::read_checkpoint(const std::shared_ptr<const MappedFile>& file) {
  refuse_foreign(*file);
  return read_safetensors(file);
}

Checkpoint load_checkpoint(const std::string& path) {
  return detail::read_checkpoint(MappedFile::open(path));
}

void save_checkpoint(const std::string& path, const StateDict& state,
                     const SaveCheckpointOptions& options) {
  TORCH_CHECK_VALUE(std::filesystem::path(path).extension() == ".safetensors",
                    "save_checkpoint: expected a name that ends with .safetensors, got ", path);
  const auto shared = shared_tensors(state);
  if (!options.copy_shared && !shared.empty()) {
    std::string names;
    for (const std::string& name : shared.front()) {
      names += (names.empty() ? "" : ", ") + detail::shown(name);
    }
    TORCH_CHECK_VALUE(false, "save_checkpoint: expected tensors with memory of their own, but ",
                      names, " share theirs", shared.size() > 1 ? " (as others do)" : "",
                      ": leave all but one of them out, or write each whole by "
                      "{.copy_shared = true}");
  }
  detail::write_safetensors(path, state, options.metadata);
}

}  // namespace convkit
