#include "layers/axis_samples.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace convkit::detail {

namespace {

// More samples than this of one bin find almost nothing of a map of any size.
constexpr double kMostSamples = 1 << 30;

}  // namespace

template <typename T>
AxisSamples<T>::AxisSamples(const T* boxes, int64_t count, int64_t axis, int64_t places,
                            const RegionPooling& pooling)
    : bins_(axis == 0 ? pooling.height : pooling.width),
      places_(places),
      row_(static_cast<std::size_t>(places)) {
  const T scale = static_cast<T>(pooling.spatial_scale);
  const T shift = pooling.aligned ? T(0.5) : T(0);
  for (int64_t k = 0; k < count; ++k) {
    const T* const box = boxes + 5 * k + 1;
    const T start = box[1 - axis] * scale - shift;
    const T size = box[3 - axis] * scale - shift - start;
    add_box(start, pooling.aligned ? size : std::max(size, T(1)), pooling);
  }
}

template <typename T>
void AxisSamples<T>::add_box(T start, T size, const RegionPooling& pooling) {
  const T bin_size = size / static_cast<T>(bins_);
  int64_t samples = pooling.sampling_ratio;
  if (samples <= 0) {
    const T wanted = std::ceil(bin_size);
    samples = std::abs(wanted) <= kMostSamples ? static_cast<int64_t>(wanted) : 0;
  }
  samples_.push_back(static_cast<T>(samples));
  const std::size_t first = weights_.size();
  for (int64_t bin = 0; bin < bins_; ++bin) {
    add_bin(start + static_cast<T>(bin) * bin_size, bin_size, samples);
  }
  add_span(first);
}

template <typename T>
void AxisSamples<T>::add_span(std::size_t first) {
  int64_t low = places_;
  int64_t high = -1;
  for (std::size_t i = first; i < weights_.size(); ++i) {
    low = std::min(low, weights_[i].place);
    high = std::max(high, weights_[i].place);
  }
  spans_.emplace_back(high < 0 ? 0 : low, high < 0 ? 0 : high - low + 1);
}

template <typename T>
void AxisSamples<T>::add_bin(T start, T size, int64_t samples) {
  int64_t begin = 0;
  int64_t end = samples;
  // Of many samples a pixel apart most are outside of the map.
  if (samples > 64 && size > static_cast<T>(samples / 2)) {
    const double step = static_cast<double>(size) / static_cast<double>(samples);
    const double first = static_cast<double>(start) / step;
    const double doubt = 4 + 8 * std::numeric_limits<T>::epsilon() *
                                 (std::abs(first) + static_cast<double>(samples));
    const auto bounded = [&](double i) {
      return static_cast<int64_t>(std::clamp(i, 0.0, static_cast<double>(samples)));
    };
    begin = bounded(-1 / step - first - doubt);
    end = bounded(static_cast<double>(places_) / step - first + doubt);
  }
  low_ = places_;
  high_ = -1;
  for (int64_t i = begin; i < end; ++i) {
    add_sample(start + (static_cast<T>(i) + T(0.5)) * size / static_cast<T>(samples));
  }
  for (int64_t place = low_; place <= high_; ++place) {
    T& weight = row_[static_cast<std::size_t>(place)];
    if (weight != 0) weights_.push_back({place, weight});
    weight = 0;
  }
  starts_.push_back(weights_.size());
}

template <typename T>
void AxisSamples<T>::add_sample(T place) {
  if (!(place >= -1 && place <= static_cast<T>(places_))) return;
  place = std::max(place, T(0));
  const int64_t low = std::min(static_cast<int64_t>(place), places_ - 1);
  const int64_t high = std::min(low + 1, places_ - 1);
  const T part = high == low ? T(0) : place - static_cast<T>(low);
  row_[static_cast<std::size_t>(low)] += 1 - part;
  row_[static_cast<std::size_t>(high)] += part;
  low_ = std::min(low_, low);
  high_ = std::max(high_, high);
}

template class AxisSamples<float>;
template class AxisSamples<double>;

}  // namespace convkit::detail
