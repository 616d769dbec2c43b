#pragma once

#include <convkit/compile.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

/// What compile() made of a network, held against tests/compile/lowering.json: a network that quietly
/// falls to LibTorch's operators fails a test. Names of kernels are left out, since they depend on the
/// processor.
namespace support {

/// Whether convkit was built with oneDNN, whose steps the table has.
bool has_onednn();

/// The options with which a plan is the same one on every machine.
convkit::CompileOptions fixed_rules();

/// What each step of a plan computes, and by whom, in order:
/// ["conv2d 3x3 stride 2 + relu (oneDNN)", ...].
nlohmann::json steps_of(const convkit::PlanExplanation& plan);

/// How often something was folded or fused, and how often each kind of step is there, whatever its
/// sizes: {"folded batch_norm": 20, "conv2d + relu (oneDNN)": 9, ...}. A convolution within the step of another
/// one counts by itself: oneDNN joins them by the size of the processor's cache.
nlohmann::json counts_of(const convkit::PlanExplanation& plan);

/// The names of the networks in the stored table.
std::vector<std::string> stored_names();

/// Compares what was found for a network with the stored table, and shows the lines that differ. With
/// CONVKIT_WRITE_TABLE=FILE it is written into that table instead.
void check_stored(const std::string& network, const nlohmann::json& found);

}  // namespace support
