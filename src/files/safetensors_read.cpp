#include "files/safetensors_read.h"

#include "files/named_tensors.h"
#include "files/problem.h"
#include "files/safetensors.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

static_assert(std::endian::native == std::endian::little,
              "the tensors of a file are little-endian");

namespace convkit::detail {
namespace {

using c10::ScalarType;
using nlohmann::json;

constexpr std::size_t kDeepest = 127;
// LibTorch's own iterators take no more dimensions.
constexpr std::size_t kMostDimensions = 64;

/// One tensor as the header describes it.
struct HeaderEntry {
  std::string name;
  std::optional<std::string> dtype;
  std::optional<std::vector<uint64_t>> shape;
  std::optional<std::vector<uint64_t>> offsets;  // begin and end, from the end of the header
};

/// Takes the header apart as it is parsed, so that nothing is built that the format does not have.
class HeaderReader final : public nlohmann::json_sax<json> {
 public:
  explicit HeaderReader(const std::string& path) : path_(path) {}

  std::vector<HeaderEntry> entries;
  std::map<std::string, std::string> metadata;

  bool start_object(std::size_t) override { return open('{'); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open('['); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    if (ignored_ > 0) return true;
    if (depth_ == 1) {
      in_metadata_ = name == "__metadata__";
      if (in_metadata_ && has_metadata_) fail("each name once", "two entries ", shown(name));
      has_metadata_ |= in_metadata_;
      if (!in_metadata_) entries.push_back({name, {}, {}, {}});
    } else if (in_metadata_) {
      if (metadata.contains(name)) fail("each name once", "two metadata entries ", shown(name));
    } else {
      const HeaderEntry& entry = entries.back();
      if ((name == "dtype" && entry.dtype) || (name == "shape" && entry.shape) ||
          (name == "data_offsets" && entry.offsets)) {
        fail("each field once", "two fields ", shown(name), " of ", shown(entry.name));
      }
    }
    key_ = name;
    return true;
  }

  bool string(std::string& value) override {
    if (ignored_ > 0) return true;
    if (depth_ == 2 && in_metadata_) {
      metadata[key_] = std::move(value);
    } else if (depth_ == 2 && key_ == "dtype") {
      entries.back().dtype = std::move(value);
    } else {
      scalar("a string");
    }
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (ignored_ == 0 && numbers_ != nullptr) {
      if (key_ == "shape" && numbers_->size() == kMostDimensions) {
        fail("at most 64 dimensions", "more for ", shown(entries.back().name));
      }
      if (key_ == "data_offsets" && numbers_->size() == 2) {
        fail("two data_offsets", "more for ", shown(entries.back().name));
      }
      numbers_->push_back(value);
    } else {
      scalar("a number");
    }
    return true;
  }

  bool null() override {
    const bool empty_metadata = depth_ == 1 && in_metadata_;
    if (!empty_metadata) scalar("null");
    return true;
  }
  bool boolean(bool) override { return scalar("a boolean"); }
  bool number_integer(number_integer_t) override { return scalar("a negative number"); }
  bool number_float(number_float_t, const string_t& text) override {
    return scalar(("the number " + text.substr(0, 40)).c_str());
  }
  bool binary(binary_t&) override { return scalar("binary data"); }

  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    fail("JSON", "something else at byte ", position);
  }

 private:
  /// Throws a sentence that says what the header has to have, and what it has.
  template <typename... Got>
  [[noreturn]] void fail(const char* expected, const Got&... got) const {
    TORCH_CHECK(false, "load_checkpoint: ", path_, ": expected ", expected,
                " in the header of a .safetensors file, got ", got...);
  }

  [[noreturn]] void misplaced(const char* what) const {
    if (depth_ == 0) fail("an object", what);
    if (depth_ == 1) fail("an object", what, " for ", in_metadata_ ? key_ : shown(key_));
    if (in_metadata_) fail("only strings as metadata", what, " for ", shown(key_));
    const char* expected = key_ == "dtype"   ? "a string as dtype"
                           : key_ == "shape" ? "a list of whole numbers >= 0 as shape"
                                             : "two whole numbers >= 0 as data_offsets";
    fail(expected, what, " for ", shown(entries.back().name));
  }

  /// Whether the field is not safetensors' own: its value may be anything.
  bool unknown_field() const {
    return depth_ == 2 && !in_metadata_ && key_ != "dtype" && key_ != "shape" &&
           key_ != "data_offsets";
  }

  bool scalar(const char* what) {
    if (ignored_ == 0 && !unknown_field()) misplaced(what);
    return true;
  }

  bool open(char bracket) {
    const char* what = bracket == '{' ? "an object" : "a list";
    if (depth_ + ignored_ >= kDeepest) fail("at most 127 levels", "more");
    if (ignored_ > 0 || unknown_field()) {
      ++ignored_;
    } else if (depth_ == 2 && !in_metadata_ && bracket == '[' && key_ != "dtype") {
      HeaderEntry& entry = entries.back();
      numbers_ = &(key_ == "shape" ? entry.shape : entry.offsets).emplace();
      ++depth_;
    } else if (depth_ < 2 && bracket == '{') {
      ++depth_;
    } else {
      misplaced(what);
    }
    return true;
  }

  bool close() {
    numbers_ = nullptr;
    if (ignored_ == 0 && depth_ == 2 && !in_metadata_) {
      const HeaderEntry& entry = entries.back();
      for (const auto& [field, known] : {std::pair("dtype", entry.dtype.has_value()),
                                         std::pair("shape", entry.shape.has_value()),
                                         std::pair("data_offsets", entry.offsets.has_value())}) {
        if (!known) fail(field, "none for ", shown(entry.name));
      }
      if (entry.offsets->size() != 2) fail("two data_offsets", "fewer for ", shown(entry.name));
    }
    if (ignored_ > 0) {
      --ignored_;
    } else {
      --depth_;
    }
    return true;
  }

  const std::string& path_;
  std::string key_;
  bool has_metadata_ = false;
  bool in_metadata_ = false;
  std::size_t depth_ = 0;    // 1: the header, 2: an entry, 3: its shape or offsets
  std::size_t ignored_ = 0;  // levels within an unknown field
  std::vector<uint64_t>* numbers_ = nullptr;
};

/// A tensor's place in the file, every number known to be sound.
struct TensorPlace {
  ScalarType type;
  std::vector<int64_t> shape;
  uint64_t begin;
};

std::string listed(const std::vector<uint64_t>& numbers) {
  return json(numbers).dump();
}

/// Checks an entry whose bytes have to begin at `begin`.
class HeaderEntryChecker {
 public:
  HeaderEntryChecker(const std::string& path, const HeaderEntry& entry)
      : path_(path), entry_(entry) {}

  TensorPlace check(uint64_t begin) const {
    const auto& offsets = *entry_.offsets;
    if (offsets[0] != begin) {
      fail(c10::str("data_offsets that begin at ", begin, ", where the tensor before it ends"),
           offsets[0]);
    }
    if (offsets[1] < offsets[0]) fail("data_offsets that end after they begin", listed(offsets));

    const auto dtype =
        std::find_if(std::begin(kSafetensorsDtypes), std::end(kSafetensorsDtypes),
                     [&](const SafetensorsDtype& known) { return known.name == *entry_.dtype; });
    if (dtype == std::end(kSafetensorsDtypes)) {
      fail_to_load(Problem::kUnsupported, path_, ": tensor ", shown(entry_.name),
                   ": expected a dtype that LibTorch has, got ", shown(*entry_.dtype));
    }
    TensorPlace place{dtype->type, {}, begin};
    const uint64_t bytes = check_shape(place);
    if (bytes != offsets[1] - offsets[0]) {
      fail(c10::str(bytes, " bytes for ", *entry_.dtype, " ", listed(*entry_.shape)),
           offsets[1] - offsets[0]);
    }
    return place;
  }

 private:
  /// Sets the tensor's shape; returns its size in bytes.
  uint64_t check_shape(TensorPlace& place) const {
    std::vector<uint64_t> shape = *entry_.shape;
    if (place.type == ScalarType::Float4_e2m1fn_x2) {  // two numbers a byte, an element of torch's
      if (shape.empty() || shape.back() % 2 != 0)
        fail("an even last dimension for F4", listed(shape));
      shape.back() /= 2;
    }
    // The strides of an empty tensor are those of one with ones instead of zeros.
    constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
    uint64_t bytes = c10::elementSize(place.type);
    bool empty = false;
    for (const uint64_t size : shape) {
      empty |= size == 0;
      if (size > kMost / bytes) fail("fewer than 2^63 bytes", listed(shape));
      bytes *= std::max<uint64_t>(size, 1);
      place.shape.push_back(static_cast<int64_t>(size));
    }
    return empty ? 0 : bytes;
  }

  template <typename Got>
  [[noreturn]] void fail(const std::string& expected, const Got& got) const {
    TORCH_CHECK(false, "load_checkpoint: ", path_, ": tensor ", shown(entry_.name), ": expected ",
                expected, ", got ", got);
  }

  const std::string& path_;
  const HeaderEntry& entry_;
};

HeaderReader read_header(const MappedFile& file, uint64_t length) {
  const std::string_view header = file.bytes().substr(8, length);
  HeaderReader reader(file.path());
  // nlohmann-json skips a byte order mark and ends at a zero byte; neither is JSON.
  const bool clean = !header.starts_with('\xef') && header.find('\0') == std::string_view::npos;
  if (!clean) {
    reader.parse_error(header.find('\0') == std::string_view::npos ? 1 : header.find('\0') + 1, "",
                       json::parse_error::create(101, 0, "", nullptr));
  }
  json::sax_parse(header.begin(), header.end(), &reader);
  return reader;
}

torch::Tensor tensor_at(const std::shared_ptr<const MappedFile>& file, uint64_t offset,
                        const TensorPlace& place, const std::string& name) {
  char* data = file->data() + offset;
  const auto options = torch::TensorOptions(place.type);
  if (reinterpret_cast<std::uintptr_t>(data) % c10::elementSize(place.type) == 0) {
    return at::from_blob(data, place.shape, [file](void*) {}, options);
  }
  torch::Tensor copy = allocated(*file, name, place.shape, place.type);
  std::copy_n(data, copy.nbytes(), static_cast<char*>(copy.data_ptr()));
  return copy;
}

}  // namespace

Checkpoint read_safetensors(const std::shared_ptr<const MappedFile>& file) {
  const std::string& path = file->path();
  TORCH_CHECK(file->size() >= 8, "load_checkpoint: ", path, ": expected at least 8 bytes, got ",
              file->size());
  uint64_t length = 0;
  std::copy_n(file->data(), sizeof(length), reinterpret_cast<char*>(&length));
  if (length > kLongestHeader) {
    fail_to_load(
        Problem::kNotACheckpoint, path,
        ": expected a .safetensors file, whose first 8 bytes give a header's length of at most ",
        kLongestHeader, " bytes, got ", length);
  }
  TORCH_CHECK(length <= file->size() - 8, "load_checkpoint: ", path, ": expected a header of ",
              length, " bytes, as the first 8 bytes say, got a file that ends after ",
              file->size() - 8, " of them");

  HeaderReader header = read_header(*file, length);
  std::vector<HeaderEntry>& entries = header.entries;
  const auto offset = [](const HeaderEntry& entry, std::size_t i) { return entry.offsets->at(i); };
  std::stable_sort(entries.begin(), entries.end(), [&](const HeaderEntry& a, const HeaderEntry& b) {
    return std::pair(offset(a, 0), offset(a, 1)) < std::pair(offset(b, 0), offset(b, 1));
  });
  std::vector<TensorPlace> places;
  uint64_t end = 0;
  for (const HeaderEntry& entry : entries) {
    places.push_back(HeaderEntryChecker(path, entry).check(end));
    end = (*entry.offsets)[1];
  }
  const uint64_t bytes = file->size() - 8 - length;
  TORCH_CHECK(end == bytes, "load_checkpoint: ", path, ": expected ", end,
              " bytes of tensors, as its header says, got ", bytes);

  NamedTensors tensors;
  tensors.reserve(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    tensors.emplace_back(entries[i].name,
                         tensor_at(file, 8 + length + places[i].begin, places[i], entries[i].name));
  }
  return {state_dict_of(path, std::move(tensors)), std::move(header.metadata)};
}

}  // namespace convkit::detail
