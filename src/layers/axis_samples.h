#pragma once

#include "layers/regions.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace convkit::detail {

/// The samples of a bin along one axis, which interpolate between places of the map: a bilinear
/// sample is one of each axis, and the sum of a bin's samples needs each axis' weights alone.
template <typename T>
class AxisSamples {
 public:
  struct Weight {
    int64_t place;
    T weight;
  };
  struct Weights {
    const Weight* first;
    const Weight* last;
    const Weight* begin() const { return first; }
    const Weight* end() const { return last; }
  };

  /// Of the boxes' axis 0 (y) or 1 (x) on a map of this many places.
  AxisSamples(const T* boxes, int64_t count, int64_t axis, int64_t places,
              const RegionPooling& pooling);

  Weights of(int64_t box, int64_t bin) const {
    const std::size_t at = static_cast<std::size_t>(box * bins_ + bin);
    return {weights_.data() + starts_[at], weights_.data() + starts_[at + 1]};
  }
  /// How many samples a bin of a box has, those outside of the map included.
  T samples(int64_t box) const { return samples_[static_cast<std::size_t>(box)]; }
  /// The first place that a box needs, and how many there are up to the last.
  std::pair<int64_t, int64_t> span(int64_t box) const {
    return spans_[static_cast<std::size_t>(box)];
  }

 private:
  void add_box(T start, T size, const RegionPooling& pooling);
  void add_span(std::size_t first);
  void add_bin(T start, T size, int64_t samples);
  void add_sample(T place);

  int64_t bins_;
  int64_t places_;
  std::vector<Weight> weights_;
  std::vector<std::size_t> starts_{0};
  std::vector<T> samples_;
  std::vector<std::pair<int64_t, int64_t>> spans_;
  std::vector<T> row_;  ///< the weights of the bin that is being added, and zeros
  int64_t low_ = 0;     ///< its first place
  int64_t high_ = -1;   ///< its last place
};

extern template class AxisSamples<float>;
extern template class AxisSamples<double>;

}  // namespace convkit::detail
