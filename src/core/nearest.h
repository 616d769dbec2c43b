#pragma once

#include <string>
#include <vector>

// As core/text.h has it.
#ifndef CONVKIT_API
#define CONVKIT_API __attribute__((visibility("default")))
#endif

namespace convkit::detail {

/// "resnet18, resnet101 and resnet152": the three of the names that are the most like one that there
/// is not, by the letters that have to be put in, left out or changed. Fewer of fewer names.
CONVKIT_API std::string nearest_names(const std::string& name,
                                      const std::vector<std::string>& names);

}  // namespace convkit::detail
