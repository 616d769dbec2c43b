#include "compile/accurate.h"

#include "compile/engines/alternatives.h"
#include "compile/engines/winograd.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace convkit::detail {

namespace {

/// A convolution by Winograd's algorithm.
struct Tiled {
  std::string key;
  winograd::Form form;
  int64_t channels = 0;
};

/// Those that were not given, the least accurate ones first: those that see more round more, and more channels do.
std::vector<Tiled> tiled_of(const Engine& engine, const EngineOptions& options) {
  PlanExplanation plan;
  engine.explain(plan);
  std::vector<Tiled> result;
  for (const auto& [key, name] : plan.choices) {
    const Geometry geometry = Geometry::read(key).value();
    const int64_t tile = tile_of(alternative_of(geometry, name).value());
    if (tile > 0 && !options.choices.contains(key)) {
      result.push_back({key, {tile, geometry.kernel[0]}, geometry.input[1]});
    }
  }
  std::sort(result.begin(), result.end(), [](const Tiled& a, const Tiled& b) {
    return std::pair(a.form.patch(), a.channels) > std::pair(b.form.patch(), b.channels);
  });
  return result;
}

std::optional<Proven> proven(const Proof& proof, const Proof::Accuracy& accuracy,
                             std::unique_ptr<Engine>& engine) {
  try {
    const double time = proof.check(*engine, accuracy);
    return Proven{std::move(engine), time, {}};
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const c10::Error&) {
    return std::nullopt;
  }
}

/// What a plan of Winograd's algorithm may differ by.
double tolerance_beside(const Proof& proof, const Proof::Accuracy& accuracy, Engine& direct) {
  constexpr double kLeast = 3e-5;
  return std::clamp(20 * proof.distance(direct), kLeast, accuracy.tolerance);
}

}  // namespace

Proven make_accurate(const Proof& proof, const Proof::Accuracy& accuracy, EngineOptions options,
                     const std::function<std::unique_ptr<Engine>(const EngineOptions&)>& make) {
  std::unique_ptr<Engine> engine = make(options);
  std::vector<Tiled> tiled = tiled_of(*engine, options);
  Proof::Accuracy allowed{3e-5, accuracy.rounding};
  const std::size_t all = tiled.size();
  std::size_t changed = 0;
  while (!tiled.empty()) {
    if (auto result = proven(proof, allowed, engine)) {
      if (changed > 0) {
        result->remarks.push_back(
            c10::str("Winograd's algorithm by smaller tiles, or not, in ", changed, " of ", all,
                     " convolutions that it is faster in: the results would differ by more than ",
                     allowed.tolerance, " of the largest number"));
      }
      return std::move(*result);
    }
    if (changed == 0 && options.largest_tiles.empty()) {
      EngineOptions direct = options;
      direct.largest_tile = 0;
      allowed.tolerance = tolerance_beside(proof, accuracy, *make(direct));
      if (allowed.tolerance > 3e-5) {
        if (auto result = proven(proof, allowed, engine)) return std::move(*result);
      }
    }
    // Half of those that see most at a time: few plans, however many convolutions there are.
    const auto others = std::find_if(tiled.begin(), tiled.end(), [&](const Tiled& one) {
      return one.form.patch() != tiled.front().form.patch();
    });
    const auto count = (others - tiled.begin() + 1) / 2;
    for (auto one = tiled.begin(); one != tiled.begin() + count; ++one) {
      changed += options.largest_tiles.contains(one->key) ? 0 : 1;
      options.largest_tiles[one->key] = one->form.patch() == 8 ? one->form.tile - 2 : 0;
    }
    engine = make(options);
    tiled = tiled_of(*engine, options);
  }
  const double time = proof.check(*engine, accuracy);
  Proven result{std::move(engine), time, {}};
  if (changed > 0) {
    result.remarks.push_back(
        c10::str("Winograd's algorithm in none of ", all,
                 " convolutions that it is faster in: the results would differ by more than ",
                 allowed.tolerance, " of the largest number"));
  }
  return result;
}

}  // namespace convkit::detail
