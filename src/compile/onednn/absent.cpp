// This file takes the place of the room where convkit is built without oneDNN.
#include "compile/onednn/engine.h"

namespace convkit::detail {

bool has_onednn() {
  return false;
}

std::unique_ptr<Engine> make_onednn_engine(const Graph&, const Tensors&, const EngineOptions&) {
  TORCH_CHECK(false, "compile: convkit was built without oneDNN");
}

}  // namespace convkit::detail
