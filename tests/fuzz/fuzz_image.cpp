// Any bytes are an image or a c10::Error.
#include <convkit/image.h>

#include <ATen/core/TensorBody.h>
#include <c10/util/Exception.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  // In memory of its own, so that the sanitizer sees a read past the end.
  const auto copy = std::make_unique<char[]>(size);
  for (std::size_t i = 0; i < size; ++i) copy[i] = static_cast<char>(data[i]);
  for (const char* mode : {"RGB", "", "LA", "I"}) {
    try {
      const torch::Tensor image = convkit::decode_image(
          {copy.get(), size}, {.mode = mode, .exif_orientation = true, .max_pixels = 1 << 16});
      const auto* bytes = static_cast<const unsigned char*>(image.const_data_ptr());
      [[maybe_unused]] volatile uint64_t sum = bytes[0] + bytes[image.nbytes() - 1];
    } catch (const c10::Error&) {
    }
  }
  return 0;
}
