// Any bytes are a checkpoint, and a tree, or a c10::Error.
#include "files/checkpoint.h"
#include "files/tree_file.h"

#include <c10/util/Exception.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

/// A byte of every page of every tensor, to see that it is there.
uint64_t touch(const convkit::StateDict& state) {
  uint64_t sum = 0;
  for (const auto& entry : state) {
    const torch::Tensor& tensor = entry.value();
    if (tensor.numel() == 0) continue;
    const auto* bytes = static_cast<const unsigned char*>(tensor.data_ptr());
    int64_t last = 0;
    for (int64_t i = 0; i < tensor.dim(); ++i) last += (tensor.size(i) - 1) * tensor.stride(i);
    const std::size_t size = static_cast<std::size_t>(last + 1) * tensor.element_size();
    for (std::size_t i = 0; i < size; i += 4096) sum += bytes[i];
    sum += bytes[size - 1];
  }
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  // In memory of its own, so that the sanitizer sees a read past the end.
  char* copy = static_cast<char*>(std::malloc(size));
  std::memcpy(copy, data, size);
  const auto file = std::make_shared<const convkit::detail::MappedFile>(
      "fuzz", copy, size, [copy] { std::free(copy); });
  const std::string folder = "/no/such/folder";  // where the files of an index would lie
  for (const bool everything : {false, true}) {
    try {
      [[maybe_unused]] volatile uint64_t sum =
          touch(convkit::detail::read_checkpoint(file, {.everything = everything}, &folder).state);
    } catch (const c10::Error&) {
    }
  }
  try {
    convkit::detail::read_tree(file);
  } catch (const c10::Error&) {
  }
  return 0;
}
