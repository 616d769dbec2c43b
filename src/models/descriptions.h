#pragma once

#include <convkit/models.h>

#include <vector>

namespace convkit::models {

/// Those of all networks, in the order of names(). A test holds them to Python.
const std::vector<Description>& descriptions();

}  // namespace convkit::models
