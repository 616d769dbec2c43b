#pragma once

#include "compile/engines/engine.h"

#include <memory>
#include <string>

namespace convkit::detail {

/// The module itself, on copies of its inputs, which it may write; `why` says why nothing faster runs. What it
/// throws is thrown on.
std::unique_ptr<Engine> make_plain_engine(Forward forward, std::string why);

}  // namespace convkit::detail
