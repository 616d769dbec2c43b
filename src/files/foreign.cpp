#include "files/foreign.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <optional>

namespace convkit::detail {
namespace {

constexpr const char* kPage =
    "a web page, as a failed download leaves it: download the file itself";
constexpr const char* kTensorFlow =
    "load it in Python by TensorFlow, and save its weights as tensors by torch.save";

/// How a kind of file begins.
struct Magic {
  std::size_t offset;
  std::string_view bytes;
  const char* what;
};

constexpr Magic kMagics[] = {
    {0, "version https://git-lfs", "a pointer of Git LFS: fetch the file itself by `git lfs pull`"},
    {0, "<!doctype", kPage},
    {0, "<html", kPage},
    {0, "<?xml", "an XML document, as a failed download leaves it: download the file itself"},
    {257, "ustar", "a tar archive: unpack it first"},
    {0, "\x1f\x8b", "compressed by gzip: unpack it first"},
    {0, "BZh", "compressed by bzip2: unpack it first"},
    {0, std::string_view("\xfd\x37zXZ\0", 6), "compressed by xz: unpack it first"},
    {0, "7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"},
    {0, "Rar!\x1a", "a RAR archive: unpack it first"},
    {0, "\x28\xb5\x2f\xfd", "compressed by zstd: unpack it first"},
    {0, "\x89HDF", "an HDF5 file, as Keras writes it: load it in Python and save it by torch.save"},
    {0, "GGUF", "a GGUF file: load it in Python and save it by torch.save"},
    {0, "\x93NUMPY", "a NumPy array: load it in Python and save it by torch.save"},
    {4, "TFL3", "a TensorFlow Lite model: take the weights that it was made of"},
    {4, "ET12", "an ExecuTorch program: take the weights that it was made of"},
    {0, "{",
     "a text file of JSON, perhaps the index of several .safetensors files: load an index, which "
     "has a "
     "\"weight_map\", by its path"},
};

bool has_magic(std::string_view bytes, const Magic& magic) {
  if (bytes.size() < magic.offset) return false;
  const std::string_view begin = bytes.substr(magic.offset, magic.bytes.size());
  return std::equal(
      begin.begin(), begin.end(), magic.bytes.begin(), magic.bytes.end(),
      [](unsigned char a, unsigned char b) { return std::tolower(a) == b || a == b; });
}

/// The fields of a message of Protocol Buffers, read from its begin.
class ProtobufFields {
 public:
  struct Field {
    uint64_t number;
    bool is_text;  // or bytes, or a message
    std::string_view bytes;
  };

  explicit ProtobufFields(std::string_view bytes) : bytes_(bytes) {}

  /// Nothing at the end of the message, and for bytes that are none.
  std::optional<Field> next() {
    const auto tag = number();
    if (!tag || *tag >> 3 == 0 || *tag >> 3 > 30) return std::nullopt;
    Field field{*tag >> 3, (*tag & 7) == 2, {}};
    if (!field.is_text && (*tag & 7) != 0) return std::nullopt;
    const auto value = number();
    if (!value) return std::nullopt;
    if (field.is_text) {
      // The last may be cut.
      field.bytes = bytes_.substr(0, *value);
      bytes_.remove_prefix(field.bytes.size());
    }
    return field;
  }

 private:
  std::optional<uint64_t> number() {
    uint64_t value = 0;
    for (std::size_t i = 0; i < std::min<std::size_t>(bytes_.size(), 9); ++i) {
      const auto byte = static_cast<unsigned char>(bytes_[i]);
      value |= uint64_t{byte & 0x7fU} << 7 * i;
      if (byte < 0x80) {
        bytes_.remove_prefix(i + 1);
        return value;
      }
    }
    return std::nullopt;
  }

  std::string_view bytes_;
};

bool is_printable(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return c >= ' ' && c < 0x7f; });
}

/// Models of ONNX have a version, who made them, and a graph as field 7; TensorFlow's SavedModel has
/// a version and then graphs with a description each; its GraphDef nodes, with a name and an operator.
std::string protobuf_kind(std::string_view bytes) {
  ProtobufFields fields(bytes);
  const auto first = fields.next();
  if (!first || first->number != 1) return "";
  if (first->is_text) {
    ProtobufFields node(first->bytes);
    const auto name = node.next();
    const auto op = node.next();
    const bool is_node = name && op && name->number == 1 && op->number == 2 &&
                         is_printable(name->bytes) && is_printable(op->bytes);
    return is_node ? std::string("a graph of TensorFlow: ") + kTensorFlow : "";
  }
  constexpr int kMostFields = 30;
  for (int i = 0; i < kMostFields; ++i) {
    const auto field = fields.next();
    if (!field) return "";
    if (i == 0 && field->is_text && field->number == 2 && field->bytes.starts_with('\n')) {
      return std::string("a SavedModel of TensorFlow: ") + kTensorFlow;
    }
    if (field->is_text && field->number == 7) {
      return "an ONNX model: take the checkpoint of torch that it was exported from, or make "
             "tensors of its initializers in Python by onnx.numpy_helper";
    }
  }
  return "";
}

bool is_plain_pickle(std::string_view bytes) {
  if (bytes.size() >= 2 && bytes[0] == '\x80') return bytes[1] >= 2 && bytes[1] <= 5;
  constexpr std::string_view kBegins[] = {
      "(dp",     "(lp",         "}q",        std::string_view("]q\0", 3), "ccollections\n",
      "cnumpy.", "ccopy_reg\n", "ccopyreg\n"};
  return std::any_of(std::begin(kBegins), std::end(kBegins),
                     [&](std::string_view begin) { return bytes.starts_with(begin); });
}

std::string pickle_kind(std::string_view bytes) {
  const bool numpy = bytes.substr(0, 1 << 20).find("numpy") != std::string_view::npos;
  return numpy
             ? "a plain pickle of NumPy arrays: load it in Python by pickle.load, make tensors of "
               "them by torch.from_numpy, and save those by torch.save"
             : "a plain pickle, not torch.save's: load it in Python by pickle.load, and save its "
               "tensors by torch.save";
}

}  // namespace

std::string foreign_kind(std::string_view bytes, const std::string& path) {
  if (is_plain_pickle(bytes)) return pickle_kind(bytes);
  const std::string protobuf = protobuf_kind(bytes);
  if (!protobuf.empty()) return protobuf;
  const std::size_t text = bytes.substr(0, 512).find_first_not_of(" \t\r\n");
  std::string_view trimmed = bytes;
  if (text != std::string_view::npos && (bytes[text] == '<' || bytes[text] == '{')) {
    trimmed.remove_prefix(text);
  }
  for (const Magic& magic : kMagics) {
    if (has_magic(trimmed, magic)) return magic.what;
  }
  constexpr std::string_view kTableEnd = "\x57\xfb\x80\x8b\x24\x75\x47\xdb";
  const std::size_t folders = path.rfind('/');
  const std::string name = folders == std::string::npos ? path : path.substr(folders + 1);
  const bool data =
      name.find(".data-") != std::string::npos && name.find("-of-") != std::string::npos;
  if (bytes.ends_with(kTableEnd) || data) {
    return std::string("a part of a checkpoint of TensorFlow: ") + kTensorFlow;
  }
  return "";
}

std::string foreign_zip(const ZipRecords& records) {
  struct Kind {
    std::string_view end;  // of a record's name
    const char* what;
  };
  constexpr std::array<Kind, 6> kKinds = {{
      {".npy",
       "an archive of NumPy arrays: load it in Python by numpy.load, make tensors of them "
       "by torch.from_numpy, and save those by torch.save"},
      {".weights.h5",
       "a model of Keras: load it in Python by Keras, and save its weights as "
       "tensors by torch.save"},
      {"serialized_exported_program.json",
       "a program of torch.export: load it in Python, and save its state_dict by torch.save"},
      {"models/model.json",
       "a program of torch.export: load it in Python, and save its state_dict by torch.save"},
      {"/model.json",
       "a TorchScript file from before torch 1.4: load it in Python by "
       "torch.jit.load and save it again"},
      {"saved_model.pb",
       "a packed SavedModel of TensorFlow: load it in Python by TensorFlow, and "
       "save its weights as tensors by torch.save"},
  }};
  for (const Kind& kind : kKinds) {
    for (const auto& [name, record] : records) {
      if (name.ends_with(kind.end)) return kind.what;
    }
  }
  for (const auto& [name, record] : records) {
    for (const std::string_view end : {".safetensors", ".pt", ".pth", ".bin", ".ckpt"}) {
      if (name.ends_with(end)) return "a zip file with " + shown(name) + " in it: unpack it first";
    }
  }
  return "a zip file without the record \"data.pkl\" that torch.save writes: unpack it, if a "
         "checkpoint is inside";
}

}  // namespace convkit::detail
