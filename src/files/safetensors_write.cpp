#include "files/safetensors_write.h"

#include "files/raw.h"
#include "files/safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

namespace convkit::detail {
namespace {

using c10::ScalarType;
using nlohmann::json;

const SafetensorsDtype* safetensors_dtype(const torch::Tensor& tensor) {
  const auto* found = std::find_if(
      std::begin(kSafetensorsDtypes), std::end(kSafetensorsDtypes),
      [&](const SafetensorsDtype& known) { return known.type == tensor.scalar_type(); });
  return found == std::end(kSafetensorsDtypes) ? nullptr : found;
}

std::string header_of(const StateDict& state, const std::vector<std::size_t>& order,
                      const std::map<std::string, std::string>& metadata) {
  std::string header = "{";
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      if (header.back() != '{') header += ',';
      header += json_text("metadata", key) + ":" + json_text("metadata", value);
    }
    header += '}';
  }
  uint64_t begin = 0;
  for (const std::size_t i : order) {
    const torch::Tensor& tensor = state[i].value();
    std::vector<int64_t> shape = tensor.sizes().vec();
    const SafetensorsDtype* dtype = safetensors_dtype(tensor);
    if (dtype->type == ScalarType::Float4_e2m1fn_x2) shape.back() *= 2;
    const uint64_t end = begin + tensor.nbytes();
    if (header.back() != '{') header += ',';
    header += json_text("names", state[i].key()) + ":{\"dtype\":\"" + dtype->name +
              "\",\"shape\":" + json(shape).dump() + ",\"data_offsets\":[" + std::to_string(begin) +
              "," + std::to_string(end) + "]}";
    begin = end;
  }
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');  // so that the tensors are aligned
  return header;
}

}  // namespace

void check_safetensors(const StateDict& state) {
  for (const auto& entry : state) {
    TORCH_CHECK_VALUE(entry.key() != "__metadata__",
                      "save_checkpoint: expected another name than \"__metadata__\", which "
                      "safetensors keeps for itself");
    TORCH_CHECK_VALUE(safetensors_dtype(entry.value()) != nullptr,
                      "save_checkpoint: expected a dtype that safetensors has under ",
                      shown(entry.key()), ", got ", entry.value().scalar_type());
    TORCH_CHECK_VALUE(
        entry.value().scalar_type() != ScalarType::Float4_e2m1fn_x2 || entry.value().dim() > 0,
        "save_checkpoint: expected at least one dimension, whose pairs float4 packs, "
        "under ",
        shown(entry.key()), ", got none");
  }
}

void write_safetensors(const TakeBytes& take, const StateDict& state,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<std::size_t> order(state.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const SafetensorsDtype* first = safetensors_dtype(state[a].value());
    const SafetensorsDtype* second = safetensors_dtype(state[b].value());
    return first != second ? first > second : state[a].key() < state[b].key();
  });
  const std::string header = header_of(state, order, metadata);
  TORCH_CHECK(header.size() <= kLongestHeader,
              "save_checkpoint: expected names and metadata of at most ", kLongestHeader,
              " bytes, got ", header.size());

  take(raw(uint64_t{header.size()}));
  take(header);
  for (const std::size_t i : order) {
    const torch::Tensor tensor = state[i].value().cpu().contiguous().resolve_conj().resolve_neg();
    take({static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()});
  }
}

}  // namespace convkit::detail
