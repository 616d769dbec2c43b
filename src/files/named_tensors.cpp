#include "files/named_tensors.h"

#include "files/problem.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <functional>
#include <string_view>

namespace convkit::detail {

StateDict state_dict_of(const std::string& path, NamedTensors tensors) {
  // StateDict looks names up by std::hash, which has no secret: many may be made that share one.
  std::vector<std::pair<std::size_t, std::string_view>> hashes;
  hashes.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors)
    hashes.emplace_back(std::hash<std::string>()(name), name);
  std::sort(hashes.begin(), hashes.end());
  constexpr std::size_t kMostWithOneHash = 100;
  for (std::size_t i = 1; i < hashes.size(); ++i) {
    TORCH_CHECK(hashes[i] != hashes[i - 1], "load_checkpoint: ", path,
                ": expected each name once, got two tensors ", shown(hashes[i].second));
    TORCH_CHECK(i < kMostWithOneHash || hashes[i].first != hashes[i - kMostWithOneHash].first,
                "load_checkpoint: ", path, ": expected ordinary names, got over ", kMostWithOneHash,
                " that were made to share one hash, as ", shown(hashes[i].second));
  }
  StateDict state;
  state.reserve(tensors.size());
  for (auto& [name, tensor] : tensors) state.insert(std::move(name), std::move(tensor));
  return state;
}

torch::Tensor allocated(const MappedFile& file, const std::string& name, torch::IntArrayRef shape,
                        c10::ScalarType type) {
  try {
    return at::empty(shape, type);
  } catch (const c10::Error&) {
    fail_to_load(Problem::kUnsupported, file.path(), ": no memory for a copy of the tensor ",
                 shown(name), ", which the file has at an odd place, of ", shape, " ", type);
  }
}

}  // namespace convkit::detail
