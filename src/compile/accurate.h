#pragma once

#include "compile/engines/engine.h"
#include "compile/proof.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace convkit::detail {

/// An engine that a proof has accepted.
struct Proven {
  std::unique_ptr<Engine> engine;
  double relative_time = 0;  ///< as Proof::check() gives it
  std::vector<std::string> remarks;
};

/// Makes an engine that the proof accepts. Where it computes convolutions by Winograd's algorithm, its results
/// differ from the module's by 3e-5 of the largest number at most, or by 20 times what those of the plan
/// without it do: above that it is made anew with smaller tiles, and then without the algorithm, in more and
/// more of them, those of the most channels first. Choices that were given stay.
///
/// Throws c10::Error where the plan without the algorithm, or as it was chosen, is not within `accuracy`.
Proven make_accurate(const Proof& proof, const Proof::Accuracy& accuracy, EngineOptions options,
                     const std::function<std::unique_ptr<Engine>(const EngineOptions&)>& make);

}  // namespace convkit::detail
