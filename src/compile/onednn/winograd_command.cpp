#include "compile/onednn/winograd_command.h"

#include "compile/engines/threads.h"
#include "compile/engines/winograd.h"

#include <algorithm>

namespace convkit::detail {

namespace {

using winograd::patch_of;
using winograd::places_of;

int64_t numbers_in(const dnnl::memory::desc& desc) {
  return static_cast<int64_t>(aligned(desc.get_size()) / sizeof(float));
}

int64_t numbers_of_patch(const WinogradCommand& command) {
  return (places_of(command.tile) * command.from.sizes[1] + 15) / 16 * 16;
}

/// One thread's part of the work.
class Tiles {
 public:
  Tiles(const WinogradCommand& command, const WinogradData& data, const WinogradThread& thread)
      : command_(command),
        data_(data),
        thread_(thread),
        tile_(command.tile),
        in_channels_(command.from.sizes[1]),
        out_channels_(command.to.sizes[1]),
        across_((command.to.sizes[3] + tile_ - 1) / tile_),
        of_image_(across_ * ((command.to.sizes[2] + tile_ - 1) / tile_)) {}

  [[nodiscard]] int64_t count() const { return command_.to.sizes[0] * of_image_; }

  void run(int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; ++i) gather(first + i, thread_.places + i * in_channels_);
    thread_.multiply(command_);
    for (int64_t i = 0; i < count; ++i) finish(first + i, thread_.products + i * out_channels_);
  }

 private:
  /// The first row and column that a tile sees, which may be in the padding, and that it gives.
  struct Place {
    int64_t image = 0;
    int64_t row = 0;
    int64_t column = 0;
  };

  [[nodiscard]] Place place_of(int64_t tile) const {
    return {tile / of_image_, tile % of_image_ / across_ * tile_, tile % across_ * tile_};
  }

  void gather(int64_t tile, float* to) {
    const Place place = place_of(tile);
    const int64_t row = place.row - command_.before[0];
    const int64_t column = place.column - command_.before[1];
    const int64_t height = command_.from.sizes[2];
    const int64_t width = command_.from.sizes[3];
    const float* image = data_.from + place.image * height * width * in_channels_;
    const int64_t pitch = command_.group * in_channels_;
    const int64_t patch = patch_of(tile_);
    if (row >= 0 && column >= 0 && row + patch <= height && column + patch <= width) {
      winograd::transform_patch(tile_, image + (row * width + column) * in_channels_,
                                {width * in_channels_, in_channels_}, to, pitch, in_channels_);
      return;
    }
    // A copy with zeros where the image ends.
    const int64_t left = std::clamp<int64_t>(-column, 0, patch);
    const int64_t right = std::clamp<int64_t>(width - column, left, patch);
    for (int64_t i = 0; i < patch; ++i) {
      float* line = thread_.patch + i * patch * in_channels_;
      const bool inside = row + i >= 0 && row + i < height;
      const int64_t begin = inside ? left : patch;
      const int64_t end = inside ? right : patch;
      std::fill_n(line, begin * in_channels_, 0.0F);
      std::fill_n(line + end * in_channels_, (patch - end) * in_channels_, 0.0F);
      if (begin < end) {
        std::copy_n(image + ((row + i) * width + column + begin) * in_channels_,
                    (end - begin) * in_channels_, line + begin * in_channels_);
      }
    }
    winograd::transform_patch(tile_, thread_.patch, {patch * in_channels_, in_channels_}, to, pitch,
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
        tile_, products, command_.group * out_channels_, data_.to + begin,
        {width * out_channels_, out_channels_}, std::min(tile_, height - place.row),
        std::min(tile_, width - place.column), out_channels_,
        {bias, data_.added == nullptr ? nullptr : data_.added + begin, command_.activation});
  }

  const WinogradCommand& command_;
  const WinogradData& data_;
  const WinogradThread& thread_;
  int64_t tile_;
  int64_t in_channels_;
  int64_t out_channels_;
  int64_t across_;
  int64_t of_image_;
};

}  // namespace

int64_t WinogradThread::numbers(const WinogradCommand& command) {
  return numbers_in(command.places) + numbers_in(command.products) + numbers_of_patch(command) +
         numbers_in(command.scratchpad) + 16;
}

WinogradThread::WinogradThread(const WinogradCommand& command, float* memory)
    : places(memory),
      products(places + numbers_in(command.places)),
      patch(products + numbers_in(command.products)),
      stream_(cpu_engine()),
      memories_{dnnl::memory(command.places, cpu_engine(), places), command.weight.constant,
                dnnl::memory(command.products, cpu_engine(), products),
                dnnl::memory(command.scratchpad, cpu_engine(), patch + numbers_of_patch(command))} {
  const std::array names{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD};
  for (std::size_t i = 0; i < names.size(); ++i) arguments_[i] = {names[i], memories_[i].get()};
}

void WinogradThread::multiply(const WinogradCommand& command) const {
  const dnnl_status_t status = dnnl_primitive_execute(
      command.product.get(), stream_.get(), static_cast<int>(arguments_.size()), arguments_.data());
  TORCH_CHECK(status == dnnl_success, "compile: oneDNN reports error ", static_cast<int>(status));
}

void run_winograd(const WinogradCommand& command, const WinogradData& data,
                  const std::vector<WinogradThread>& memories) {
  on_threads(command.threads, [&](int thread, int threads) {
    Tiles tiles(command, data, memories[static_cast<std::size_t>(thread)]);
    const int64_t all = tiles.count();
    for (int64_t first = thread * command.group; first < all; first += threads * command.group) {
      tiles.run(first, std::min(command.group, all - first));
    }
  });
}

}  // namespace convkit::detail
