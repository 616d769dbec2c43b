#pragma once

#include <atomic>

namespace convkit::detail {

/// How many groups of processes this one is in.
inline std::atomic<int> process_groups = 0;

}  // namespace convkit::detail
