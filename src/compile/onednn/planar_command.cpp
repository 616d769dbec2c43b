#include "compile/onednn/planar_command.h"

#include "compile/engines/products.h"
#include "compile/engines/threads.h"

#include <algorithm>

namespace convkit::detail {

namespace {

const float* numbers_of(const Operand& operand) {
  return operand.bytes ? static_cast<const float*>(operand.bytes.data()) : nullptr;
}

/// One thread's part of the work.
class Strips {
 public:
  explicit Strips(const PlanarCommand& command)
      : command_(command),
        in_(command.from.sizes),
        out_(command.to.sizes),
        strips_((out_[2] + command.rows - 1) / command.rows),
        depthwise_(command.depthwise, command.rows, out_[3]) {
    const int64_t pixels = command.rows * out_[3];
    of_panels_ =
        command.pointwise ? planes::panels_of(pixels) * products::panel_width() * in_[1] : 0;
    of_line_ = pixels + planes::DepthwiseRows::kBeyond;
  }

  [[nodiscard]] int64_t count() const { return out_[0] * strips_; }
  [[nodiscard]] int64_t work() const { return of_panels_ + of_line_ + depthwise_.room(); }

  void run(int64_t strip, const float* from, float* to, float* work) const {
    const int64_t image = strip / strips_;
    const int64_t first = strip % strips_ * command_.rows;
    const int64_t rows = std::min(command_.rows, out_[2] - first);
    const int64_t pixels = rows * out_[3];
    const int64_t taps = command_.depthwise.kernel[0] * command_.depthwise.kernel[1];
    const float* weight = numbers_of(command_.taps);
    const float* bias = numbers_of(command_.taps_bias);
    float* line = work + of_panels_;
    float* room = line + of_line_;
    float* result = to + (image * out_[1] * out_[2] + first) * out_[3];
    if (weight != nullptr) std::fill_n(room, depthwise_.room(), 0.0F);
    const int64_t panel = products::panel_width();
    const bool direct = command_.pointwise && planes::fits_panels(out_[3]);
    for (int64_t c = 0; c < in_[1]; ++c) {
      const planes::Plane plane{from + (image * in_[1] + c) * in_[2] * in_[3], in_[2], in_[3]};
      if (weight == nullptr) {
        std::copy_n(plane.pixels + first * in_[3], pixels, line);
      } else {
        depthwise_.run(plane, weight + c * taps, bias == nullptr ? 0 : bias[c], first, rows, room,
                       direct ? work + c * panel : line, direct ? in_[1] * panel : panel);
        if (direct) continue;
      }
      if (command_.pointwise) {
        planes::to_panels(line, pixels, c, in_[1], work);
      } else {
        std::copy_n(line, pixels, result + c * out_[2] * out_[3]);
      }
    }
    if (!command_.pointwise) return;
    planes::pointwise({numbers_of(command_.weight), numbers_of(command_.bias), in_[1], out_[1],
                       command_.activation},
                      work, pixels, result, out_[2] * out_[3]);
  }

 private:
  const PlanarCommand& command_;
  const Sizes& in_;
  const Sizes& out_;
  int64_t strips_;
  planes::DepthwiseRows depthwise_;
  int64_t of_panels_ = 0;  ///< numbers of all channels in panels
  int64_t of_line_ = 0;    ///< of one channel
};

}  // namespace

int64_t planar_work(const PlanarCommand& command) {
  return (Strips(command).work() + 15) / 16 * 16;
}

void run_planar(const PlanarCommand& command, const float* from, float* to, float* work) {
  const Strips strips(command);
  const int64_t each = planar_work(command);
  on_threads(command.threads, [&](int thread, int threads) {
    for (int64_t strip = thread; strip < strips.count(); strip += threads) {
      strips.run(strip, from, to, work + thread * each);
    }
  });
}

}  // namespace convkit::detail
