#include "layers/box_operators.h"

#include "layers/operator_library.h"

#include <ATen/Parallel.h>
#include <ATen/ops/_unique.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/max.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

namespace convkit::detail {

namespace {

void check_boxes(const char* name, const torch::Tensor& boxes, const torch::Tensor& scores) {
  TORCH_CHECK_VALUE(boxes.dim() == 2 && boxes.size(1) == 4, name, ": expected boxes [N, 4], got ",
                    boxes.sizes());
  TORCH_CHECK_VALUE(scores.dim() == 1 && scores.size(0) == boxes.size(0), name,
                    ": expected scores [", boxes.size(0), "], one for each box, got ",
                    scores.sizes());
}

/// Boxes that may still be kept, by decreasing score. Each coordinate lies by itself, so that a loop
/// over boxes takes several at once.
template <typename T>
class Candidates {
 public:
  // As wide as a T, so that both fill a register.
  using Flag = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;

  Candidates(const T* boxes, const int64_t* order, int64_t count)
      : numbers_(order, order + count), dropped_(static_cast<std::size_t>(count)) {
    for (auto& values : coordinates_) values.resize(static_cast<std::size_t>(count));
    area_.resize(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < numbers_.size(); ++i) {
      const T* const box = boxes + 4 * order[i];
      for (std::size_t j = 0; j < 4; ++j) coordinates_[j][i] = box[j];
      area_[i] = (box[2] - box[0]) * (box[3] - box[1]);
    }
  }

  int64_t size() const { return static_cast<int64_t>(numbers_.size()); }
  int64_t number(int64_t i) const { return numbers_[static_cast<std::size_t>(i)]; }
  bool is_dropped(int64_t i) const { return dropped_[static_cast<std::size_t>(i)] != 0; }

  /// Drops those of begin to end that overlap with box i by more than `threshold`. The order of the
  /// arguments of each comparison decides what becomes of a NaN, and is torchvision's.
  void drop(int64_t i, int64_t begin, int64_t end, T threshold) {
    const T* const x1 = coordinates_[0].data();
    const T* const y1 = coordinates_[1].data();
    const T* const x2 = coordinates_[2].data();
    const T* const y2 = coordinates_[3].data();
    const T* const area = area_.data();
    Flag* const __restrict dropped = dropped_.data();  // no other pointer goes there
    const T left = x1[i];
    const T top = y1[i];
    const T right = x2[i];
    const T bottom = y2[i];
    const T own = area[i];
    for (int64_t j = begin; j < end; ++j) {
      const T w = (x2[j] < right ? x2[j] : right) - (left < x1[j] ? x1[j] : left);
      const T h = (y2[j] < bottom ? y2[j] : bottom) - (top < y1[j] ? y1[j] : top);
      const T inside = (T(0) < w ? w : T(0)) * (T(0) < h ? h : T(0));
      dropped[j] |= inside / (own + area[j] - inside) > threshold ? 1 : 0;
    }
  }

  /// Forgets the first `count` boxes and all dropped ones.
  void forget(int64_t count) {
    std::size_t to = 0;
    for (std::size_t i = static_cast<std::size_t>(count); i < numbers_.size(); ++i) {
      numbers_[to] = numbers_[i];
      for (auto& values : coordinates_) values[to] = values[i];
      area_[to] = area_[i];
      to += dropped_[i] == 0 ? 1 : 0;
    }
    numbers_.resize(to);
    std::fill_n(dropped_.begin(), to, Flag{0});
  }

 private:
  std::vector<int64_t> numbers_;
  std::array<std::vector<T>, 4> coordinates_;
  std::vector<T> area_;
  std::vector<Flag> dropped_;
};

/// The largest T that is no larger: a T is above it where it is above `value`.
template <typename T>
T rounded_down(double value) {
  const T near = static_cast<T>(value);
  return near > value ? std::nextafter(near, -std::numeric_limits<T>::infinity()) : near;
}

constexpr int64_t kBlock = 64;   // boxes that drop others in one go
constexpr int64_t kTile = 1024;  // boxes whose coordinates stay in the first cache meanwhile

/// The best boxes decide among themselves who stays, then about all others, which threads share.
template <typename T>
std::vector<int64_t> kept(Candidates<T> candidates, double iou_threshold) {
  const T threshold = rounded_down<T>(iou_threshold);
  std::vector<int64_t> result;
  while (candidates.size() > 0) {
    const int64_t block = std::min(candidates.size(), kBlock);
    std::vector<int64_t> stay;
    for (int64_t i = 0; i < block; ++i) {
      if (candidates.is_dropped(i)) continue;
      stay.push_back(i);
      result.push_back(candidates.number(i));
      candidates.drop(i, i + 1, block, threshold);
    }
    at::parallel_for(block, candidates.size(), kTile, [&](int64_t begin, int64_t end) {
      for (int64_t tile = begin; tile < end; tile += kTile) {
        for (const int64_t i : stay) {
          candidates.drop(i, tile, std::min(tile + kTile, end), threshold);
        }
      }
    });
    candidates.forget(block);
  }
  return result;
}

template <typename T>
torch::Tensor nms_of(const torch::Tensor& boxes, const torch::Tensor& order, double iou_threshold) {
  const Candidates<T> candidates(boxes.const_data_ptr<T>(), order.const_data_ptr<int64_t>(),
                                 boxes.size(0));
  const std::vector<int64_t> numbers = kept(candidates, iou_threshold);
  torch::Tensor result = at::empty({static_cast<int64_t>(numbers.size())}, order.options());
  std::copy(numbers.begin(), numbers.end(), result.mutable_data_ptr<int64_t>());
  return result;
}

/// A type in which a product of two numbers does not overflow.
torch::Tensor wide(const torch::Tensor& x) {
  const auto type = x.scalar_type();
  if (x.is_floating_point()) {
    return type == torch::kFloat || type == torch::kDouble ? x : x.to(torch::kFloat);
  }
  return type == torch::kInt || type == torch::kLong ? x : x.to(torch::kInt);
}

/// Two corners of each box, and its area.
struct Corners {
  torch::Tensor low;   ///< [..., N, 2]
  torch::Tensor high;  ///< [..., N, 2]
  torch::Tensor area;  ///< [..., N]
};

Corners corners_of(const torch::Tensor& boxes, std::string_view fmt) {
  const torch::Tensor first = boxes.narrow(-1, 0, 2);
  const torch::Tensor second = boxes.narrow(-1, 2, 2);
  const torch::Tensor numbers = wide(boxes);
  const auto column = [&](int64_t i) { return numbers.select(-1, i); };
  if (fmt == "xyxy") return {first, second, (column(2) - column(0)) * (column(3) - column(1))};
  const torch::Tensor area = column(2) * column(3);
  if (fmt == "xywh") return {first, first + second, area};
  return {first - second / 2, first + second / 2, area};
}

}  // namespace

torch::Tensor nms_cpu(const torch::Tensor& boxes, const torch::Tensor& scores,
                      double iou_threshold) {
  check_boxes("nms", boxes, scores);
  TORCH_CHECK_VALUE(boxes.is_floating_point(), "nms: expected boxes of a floating point type, got ",
                    boxes.scalar_type());
  TORCH_CHECK_VALUE(boxes.scalar_type() == scores.scalar_type(), "nms: expected scores of type ",
                    boxes.scalar_type(), ", as the boxes, got ", scores.scalar_type());
  const torch::Tensor order =
      std::get<1>(scores.sort(/*stable=*/true, /*dim=*/0, /*descending=*/true));
  if (boxes.scalar_type() == torch::kDouble) {
    return nms_of<double>(boxes.contiguous(), order.contiguous(), iou_threshold);
  }
  return nms_of<float>(boxes.to(torch::kFloat).contiguous(), order.contiguous(), iou_threshold);
}

torch::Tensor batched_nms_of_parts(const torch::Tensor& boxes, const torch::Tensor& scores,
                                   const torch::Tensor& idxs, double iou_threshold) {
  check_boxes("batched_nms", boxes, scores);
  TORCH_CHECK_VALUE(idxs.dim() == 1 && idxs.size(0) == boxes.size(0),
                    "batched_nms: expected idxs [", boxes.size(0), "], one for each box, got ",
                    idxs.sizes());
  if (boxes.numel() == 0) return at::empty({0}, boxes.options().dtype(torch::kLong));
  if (boxes.numel() <= 4000) {
    const torch::Tensor shift = idxs.to(boxes.options()) * (boxes.max() + 1);
    return call_nms(boxes + shift.unsqueeze(1), scores, iou_threshold);
  }
  std::vector<torch::Tensor> kept;
  for (const torch::Tensor& number : std::get<0>(at::_unique(idxs)).unbind()) {
    const torch::Tensor own = idxs.eq(number).nonzero().squeeze(1);
    kept.push_back(own.index_select(
        0, call_nms(boxes.index_select(0, own), scores.index_select(0, own), iou_threshold)));
  }
  const torch::Tensor all = std::get<0>(at::cat(kept).sort());  // equal scores keep their order
  return all.index_select(0, std::get<1>(scores.index_select(0, all).sort(
                                 /*stable=*/true, /*dim=*/0, /*descending=*/true)));
}

torch::Tensor box_iou_of_parts(const torch::Tensor& boxes1, const torch::Tensor& boxes2,
                               std::string_view fmt) {
  for (const torch::Tensor& boxes : {boxes1, boxes2}) {
    TORCH_CHECK_VALUE(boxes.dim() >= 2 && boxes.size(-1) == 4,
                      "box_iou: expected boxes [..., N, 4], got ", boxes.sizes());
  }
  TORCH_CHECK_VALUE(fmt == "xyxy" || fmt == "xywh" || fmt == "cxcywh",
                    "box_iou: expected fmt xyxy, xywh or cxcywh, got ", fmt);
  const Corners a = corners_of(boxes1, fmt);
  const Corners b = corners_of(boxes2, fmt);
  const torch::Tensor low = at::maximum(a.low.unsqueeze(-2), b.low.unsqueeze(-3));
  const torch::Tensor high = at::minimum(a.high.unsqueeze(-2), b.high.unsqueeze(-3));
  const torch::Tensor sides = wide(high - low).clamp_min(0);
  const torch::Tensor inside = sides.select(-1, 0) * sides.select(-1, 1);
  return inside / (a.area.unsqueeze(-1) + b.area.unsqueeze(-2) - inside);
}

}  // namespace convkit::detail
