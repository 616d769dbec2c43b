#pragma once

#include <convkit/checkpoint.h>
#include <convkit/models.h>

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace tool {

/// Loads a checkpoint, or the member `at` of it. Its errors say what the command line can do about
/// them.
convkit::Checkpoint load(const std::string& file, const convkit::LoadCheckpointOptions& options);

/// A network that a command line names, and its weights.
struct NetworkFlags {
  std::string model;
  std::string weights;
  std::string at;
  int64_t num_classes = 0;
};

void add_network_flags(CLI::App& command, NetworkFlags& flags);

/// Without weights it has the fresh ones that Python's network has after torch.manual_seed(0).
///
/// Throws c10::Error for a name that there is not, and for weights that do not fit: those of a
/// checkpoint, or those that a recording was made with.
convkit::models::Network make_network(const NetworkFlags& flags);

}  // namespace tool
