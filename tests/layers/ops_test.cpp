#include <convkit/compile.h>
#include <convkit/ops.h>
#include <convkit/summary.h>

#include "layers/ops_cases.h"
#include "support.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/nn/modules.h>
#include <torch/torch.h>

#include <limits>
#include <sstream>

using namespace convkit;
using ops_cases::Given;
using ops_cases::Operator;
using torch::Tensor;

namespace {

constexpr std::array<double, 5> kScales{1.0, 0.5, 0.25, 0.0625, 0.3};
constexpr std::array<double, 7> kThresholds{0.5, 0.3, 0.7, 0.0, 1.0, -0.1, 0.25};

template <typename T, std::size_t n>
T pick(const std::array<T, n>& values, int64_t i) {
  return values.at(static_cast<std::size_t>(i));
}

using Results = std::vector<std::pair<std::string, Tensor>>;

/// Adds the gradients by the inputs, of the output times random numbers.
void add_gradients(Results& results, const Given& given, const Results& inputs) {
  const Tensor output = results.at(0).second;
  output.backward(given.tensor(50, output.sizes().vec()));
  for (const auto& [name, input] : inputs) results.emplace_back(name + "_gradient", input.grad());
}

/// Runs all cases of an operator on boxes of a map; `call` gives the output and whole numbers.
template <typename Call>
void check_pooled(const char* name, int64_t cases, int64_t seed, const Call& call) {
  const StateDict file = ops_cases::read();
  Operator all(file, name, seed);
  for (int64_t i = 0; i < all.size(); ++i) {
    const auto row = all.row(i);
    const Given given = all.given(i);
    const int64_t bins = name == std::string("ps_roi_align") ? row[6] * row[7] : 1;
    const Tensor x = given.tensor(1, {row[1], row[2] * bins, row[3], row[4]}).requires_grad_();
    const double scale = pick(kScales, row[10]);
    const Tensor boxes = given.boxes(row[5], row[3], row[4], scale, row[11], row[12] == 1, row[1]);
    const auto [output, whole] = call(x, boxes, row, scale);
    Results results{{"output", output}};
    add_gradients(results, given, {{"input", x}});
    all.compare(i, results);
    if (whole.defined()) all.compare_whole(i, whole);
  }
  all.finish(cases);
  CHECK(all.alive > cases);  // of two results each
  CHECK(all.in_full == 24);
  INFO("worst " << all.worst);
  CHECK(all.worst < 1);
}

/// An operator as whoever has no header of ours calls it.
c10::OperatorHandle found(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "");
}

}  // namespace

TEST_CASE("roi_align gives torchvision's numbers and gradients in 2,500 cases", "[ops][parity]") {
  check_pooled("roi_align", 2500, 0,
               [](const Tensor& x, const Tensor& boxes, const auto& row, double scale) {
                 return std::pair(
                     roi_align(x, boxes, {row[6], row[7]}, scale, row[8] - 1, row[9] == 1),
                     Tensor());
               });
}

TEST_CASE("roi_pool gives torchvision's numbers and gradients in 2,000 cases", "[ops][parity]") {
  using Pool = std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, double, int64_t, int64_t);
  const auto pool = found("convkit::roi_pool").typed<Pool>();
  check_pooled("roi_pool", 2000, 10000,
               [&](const Tensor& x, const Tensor& boxes, const auto& row, double scale) {
                 const auto [output, places] = pool.call(x, boxes, scale, row[6], row[7]);
                 CHECK(torch::equal(output, roi_pool(x, boxes, {row[6], row[7]}, scale)));
                 return std::pair(output, places);
               });
}

TEST_CASE("ps_roi_align gives torchvision's numbers and gradients in 2,000 cases",
          "[ops][parity]") {
  using Align =
      std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, double, int64_t, int64_t, int64_t);
  const auto align = found("convkit::ps_roi_align").typed<Align>();
  check_pooled("ps_roi_align", 2000, 20000,
               [&](const Tensor& x, const Tensor& boxes, const auto& row, double scale) {
                 const auto [output, channels] =
                     align.call(x, boxes, scale, row[6], row[7], row[8] - 1);
                 const Tensor same = ps_roi_align(x, boxes, {row[6], row[7]}, scale, row[8] - 1);
                 CHECK(torch::equal(output.nan_to_num(7), same.nan_to_num(7)));
                 return std::pair(output, channels);
               });
}

TEST_CASE("deform_conv2d gives torchvision's numbers and gradients in 2,500 cases",
          "[ops][parity]") {
  constexpr std::array<double, 4> kOffsets{0.0, 1.0, 3.0, 12.0};
  const StateDict file = ops_cases::read();
  Operator all(file, "deform_conv2d", 30000);
  for (int64_t i = 0; i < all.size(); ++i) {
    const auto row = all.row(i);
    const Given given = all.given(i);
    const int64_t channels = row[2] * row[3];
    const int64_t taps = row[6] * row[7];
    const auto out = [&](std::size_t axis) {
      return (row[14 + axis] + 2 * row[10 + axis] - row[12 + axis] * (row[6 + axis] - 1) - 1) /
                 row[8 + axis] +
             1;
    };
    Tensor offset = given.tensor(2, {row[1], 2 * row[5] * taps, out(0), out(1)}) *
                    (pick(kOffsets, row[18]) / 2);
    if (row[19] == 1) offset = offset.floor();
    Results inputs{{"input", given.tensor(1, {row[1], channels, row[14], row[15]})},
                   {"offset", offset},
                   {"weight", given.tensor(3, {row[2] * row[4], row[3], row[6], row[7]})}};
    Tensor mask;
    Tensor bias;
    if (row[16] == 1) {
      mask = given.tensor(4, {row[1], row[5] * taps, out(0), out(1)});
      inputs.emplace_back("mask", mask);
    }
    if (row[17] == 1) {
      bias = given.tensor(5, {row[2] * row[4]});
      inputs.emplace_back("bias", bias);
    }
    for (auto& [name, tensor] : inputs) tensor.requires_grad_();
    Results results{
        {"output", deform_conv2d(inputs[0].second, inputs[1].second, inputs[2].second, bias,
                                 {row[8], row[9]}, {row[10], row[11]}, {row[12], row[13]}, mask)}};
    add_gradients(results, given, inputs);
    all.compare(i, results);
  }
  all.finish(2500);
  CHECK(all.alive > 2500 * 3);
  CHECK(all.in_full > 12 * 4);
  INFO("worst " << all.worst);
  CHECK(all.worst < 1);
}

TEST_CASE("nms and batched_nms keep torchvision's boxes in 1,000 cases", "[ops][parity]") {
  const StateDict file = ops_cases::read();
  int64_t kept = 0;
  int64_t dropped = 0;
  for (const bool batched : {false, true}) {
    Operator all(file, batched ? "batched_nms" : "nms", batched ? 50000 : 40000);
    for (int64_t i = 0; i < all.size(); ++i) {
      const auto row = all.row(i);
      const Given given = all.given(i);
      const int64_t count = 8 * row[1];
      const bool ties = row[5] == 1 && row[1] < 126;
      const Tensor boxes = given.boxes(count, 30, 40, 1, row[3], row[4] == 1, 0);
      const Tensor drawn = given.numbers(3, count);
      const Tensor scores = (ties ? (drawn * 10).floor() : drawn).to(given.dtype());
      const Tensor classes = (given.numbers(4, count) * row[6]).floor().to(torch::kLong);
      const double threshold = pick(kThresholds, row[2]);
      const Tensor numbers =
          batched ? batched_nms(boxes, scores, classes, threshold) : nms(boxes, scores, threshold);
      all.compare_whole(i, numbers);
      kept += numbers.numel();
      dropped += count - numbers.numel();
    }
    all.finish(batched ? 300 : 700);
  }
  CHECK(kept > 10000);
  CHECK(dropped > 10000);
}
