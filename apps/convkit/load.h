#pragma once

#include <convkit/checkpoint.h>

#include <string>

namespace tool {

/// Loads a checkpoint, or the member `at` of it. Its errors say what the command line can do about
/// them.
convkit::Checkpoint load(const std::string& file, const convkit::LoadCheckpointOptions& options);

}  // namespace tool
