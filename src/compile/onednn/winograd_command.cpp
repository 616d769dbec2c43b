#include "compile/onednn/winograd_command.h"

#include "compile/engines/products.h"
#include "compile/engines/threads.h"
#include "compile/engines/winograd.h"

#include <algorithm>

namespace convkit::detail {

namespace {

/// Where each part of a thread's memory begins, and how many numbers there are in all.
struct Parts {
  explicit Parts(const WinogradCommand& command) {
    const auto take = [this](int64_t count) {  // from a cache line on
      const int64_t begin = numbers;
      numbers += (count + 15) / 16 * 16;
      return begin;
    };
    const int64_t places = command.form.places();
    const int64_t in = command.from.sizes[1];
    products_pitch = products::padded_columns(command.to.sizes[1]);
    of_places = take(places * command.group * in);
    of_products = take(places * command.group * products_pitch);
    of_patch = take(places * in);
  }

  int64_t numbers = 0;
  int64_t products_pitch = 0;  ///< of the products of one tile
  int64_t of_places = 0;       ///< [patch * patch, group, C]: the transformed pixels of a group
  int64_t of_products = 0;     ///< [patch * patch, group, products_pitch]
  int64_t of_patch = 0;        ///< [patch, patch, C]: room for a tile that reaches beyond the image
};

/// One thread's part of the work.
class Tiles {
 public:
  Tiles(const WinogradCommand& command, const WinogradData& data, float* work)
      : command_(command),
        data_(data),
        tile_(command.form.tile),
        in_channels_(command.from.sizes[1]),
        out_channels_(command.to.sizes[1]),
        across_((command.to.sizes[3] + tile_ - 1) / tile_),
        of_image_(across_ * ((command.to.sizes[2] + tile_ - 1) / tile_)),
        parts_(command),
        places_(work + parts_.of_places),
        products_(work + parts_.of_products),
        patch_(work + parts_.of_patch) {}

  [[nodiscard]] int64_t count() const { return command_.to.sizes[0] * of_image_; }

  void run(int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; ++i) gather(first + i, places_ + i * in_channels_);
    const auto* weight = static_cast<const float*>(command_.weight.bytes.data());
    for (int64_t place = 0; place < command_.form.places(); ++place) {
      products::multiply({places_ + place * command_.group * in_channels_, in_channels_}, count,
                         in_channels_, weight + place * in_channels_ * parts_.products_pitch,
                         out_channels_, products_ + place * command_.group * parts_.products_pitch);
    }
    for (int64_t i = 0; i < count; ++i) finish(first + i, products_ + i * parts_.products_pitch);
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
    const int64_t patch = command_.form.patch();
    if (row >= 0 && column >= 0 && row + patch <= height && column + patch <= width) {
      winograd::transform_patch(command_.form, image + (row * width + column) * in_channels_,
                                {width * in_channels_, in_channels_}, to, pitch, in_channels_);
      return;
    }
    // A copy with zeros where the image ends.
    const int64_t left = std::clamp<int64_t>(-column, 0, patch);
    const int64_t right = std::clamp<int64_t>(width - column, left, patch);
    for (int64_t i = 0; i < patch; ++i) {
      float* line = patch_ + i * patch * in_channels_;
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
    winograd::transform_patch(command_.form, patch_, {patch * in_channels_, in_channels_}, to,
                              pitch, in_channels_);
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
        command_.form, products, command_.group * parts_.products_pitch, data_.to + begin,
        {width * out_channels_, out_channels_}, std::min(tile_, height - place.row),
        std::min(tile_, width - place.column), out_channels_,
        {bias, data_.added == nullptr ? nullptr : data_.added + begin, command_.activation});
  }

  const WinogradCommand& command_;
  const WinogradData& data_;
  int64_t tile_;
  int64_t in_channels_;
  int64_t out_channels_;
  int64_t across_;
  int64_t of_image_;
  Parts parts_;
  float* places_;
  float* products_;
  float* patch_;
};

}  // namespace

int64_t winograd_work(const WinogradCommand& command) {
  return Parts(command).numbers;
}

void run_winograd(const WinogradCommand& command, const WinogradData& data) {
  const int64_t each = winograd_work(command);
  on_threads(command.threads, [&](int thread, int threads) {
    Tiles tiles(command, data, data.work + thread * each);
    const int64_t all = tiles.count();
    for (int64_t first = thread * command.group; first < all; first += threads * command.group) {
      tiles.run(first, std::min(command.group, all - first));
    }
  });
}

}  // namespace convkit::detail
