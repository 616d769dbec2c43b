#include "compile/onednn/winograd_command.h"

#include "compile/engines/threads.h"
#include "compile/engines/winograd.h"

#include <algorithm>
#include <unordered_map>

namespace convkit::detail {

namespace {

using winograd::kPatch;
using winograd::kPlaces;
using winograd::kTile;

int64_t numbers_in(const dnnl::memory::desc& desc) {
  return static_cast<int64_t>(aligned(desc.get_size()) / sizeof(float));
}

/// One thread's part of the work.
class Tiles {
 public:
  Tiles(const WinogradCommand& command, const WinogradData& data, float* work)
      : command_(command),
        data_(data),
        in_channels_(command.from.sizes[1]),
        out_channels_(command.to.sizes[1]),
        across_((command.to.sizes[3] + kTile - 1) / kTile),
        of_image_(across_ * ((command.to.sizes[2] + kTile - 1) / kTile)),
        places_(work),
        products_(places_ + numbers_in(command.places)),
        patch_(products_ + numbers_in(command.products)),
        memories_{{DNNL_ARG_SRC, dnnl::memory(command.places, cpu_engine(), places_)},
                  {DNNL_ARG_WEIGHTS, command.weight.constant},
                  {DNNL_ARG_DST, dnnl::memory(command.products, cpu_engine(), products_)},
                  {DNNL_ARG_SCRATCHPAD, dnnl::memory(command.scratchpad, cpu_engine(),
                                                     patch_ + kPlaces * in_channels_)}} {}

  [[nodiscard]] int64_t count() const { return command_.to.sizes[0] * of_image_; }

  void run(int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; ++i) gather(first + i, places_ + i * in_channels_);
    command_.product.execute(stream_, memories_);
    for (int64_t i = 0; i < count; ++i) finish(first + i, products_ + i * out_channels_);
  }

 private:
  /// The first row and column that a tile sees, which may be in the padding, and that it gives.
  struct Place {
    int64_t image = 0;
    int64_t row = 0;
    int64_t column = 0;
  };

  [[nodiscard]] Place place_of(int64_t tile) const {
    return {tile / of_image_, tile % of_image_ / across_ * kTile, tile % across_ * kTile};
  }

  void gather(int64_t tile, float* to) {
    const Place place = place_of(tile);
    const int64_t row = place.row - command_.before[0];
    const int64_t column = place.column - command_.before[1];
    const int64_t height = command_.from.sizes[2];
    const int64_t width = command_.from.sizes[3];
    const float* image = data_.from + place.image * height * width * in_channels_;
    const int64_t pitch = command_.group * in_channels_;
    if (row >= 0 && column >= 0 && row + kPatch <= height && column + kPatch <= width) {
      winograd::transform_patch(image + (row * width + column) * in_channels_,
                                {width * in_channels_, in_channels_}, to, pitch, in_channels_);
      return;
    }
    // A copy with zeros where the image ends.
    const int64_t left = std::clamp<int64_t>(-column, 0, kPatch);
    const int64_t right = std::clamp<int64_t>(width - column, left, kPatch);
    for (int64_t i = 0; i < kPatch; ++i) {
      float* line = patch_ + i * kPatch * in_channels_;
      const bool inside = row + i >= 0 && row + i < height;
      const int64_t begin = inside ? left : kPatch;
      const int64_t end = inside ? right : kPatch;
      std::fill_n(line, begin * in_channels_, 0.0F);
      std::fill_n(line + end * in_channels_, (kPatch - end) * in_channels_, 0.0F);
      if (begin < end) {
        std::copy_n(image + ((row + i) * width + column + begin) * in_channels_,
                    (end - begin) * in_channels_, line + begin * in_channels_);
      }
    }
    winograd::transform_patch(patch_, {kPatch * in_channels_, in_channels_}, to, pitch,
                              in_channels_);
  }

  void finish(int64_t tile, const float* products) {
    const Place place = place_of(tile);
    const int64_t height = command_.to.sizes[2];
    const int64_t width = command_.to.sizes[3];
    const int64_t begin =
        ((place.image * height + place.row) * width + place.column) * out_channels_;
    const float* bias =
        command_.bias.bytes ? static_cast<const float*>(command_.bias.bytes.data()) : nullptr;
    winograd::transform_tile(
        products, command_.group * out_channels_, data_.to + begin,
        {width * out_channels_, out_channels_}, std::min(kTile, height - place.row),
        std::min(kTile, width - place.column), out_channels_,
        {bias, data_.added == nullptr ? nullptr : data_.added + begin, command_.relu});
  }

  const WinogradCommand& command_;
  const WinogradData& data_;
  int64_t in_channels_;
  int64_t out_channels_;
  int64_t across_;
  int64_t of_image_;
  float* places_;
  float* products_;
  float* patch_;
  dnnl::stream stream_{cpu_engine()};
  std::unordered_map<int, dnnl::memory> memories_;
};

}  // namespace

int64_t winograd_work(const WinogradCommand& command) {
  const int64_t patch = (kPlaces * command.from.sizes[1] + 15) / 16 * 16;
  return numbers_in(command.places) + numbers_in(command.products) + patch +
         numbers_in(command.scratchpad) + 16;
}

void run_winograd(const WinogradCommand& command, const WinogradData& data) {
  const int64_t each = winograd_work(command);
  const auto part = [&](int thread, int threads) {
    Tiles tiles(command, data, data.work + thread * each);
    const int64_t all = tiles.count();
    for (int64_t first = thread * command.group; first < all; first += threads * command.group) {
      tiles.run(first, std::min(command.group, all - first));
    }
  };
  try {
    on_threads(command.threads, part);
  } catch (const dnnl::error& error) {
    TORCH_CHECK(false, "compile: oneDNN reports error ", static_cast<int>(error.status));
  }
}

}  // namespace convkit::detail
