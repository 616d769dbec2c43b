#pragma once

#include <functional>

namespace convkit::detail {

/// Calls f(thread, threads) on so many threads at once, those of OpenMP that LibTorch and oneDNN have too; or on
/// this one alone where there is no OpenMP. It throws the last error of those that `f` has thrown.
void on_threads(int threads, const std::function<void(int thread, int threads)>& f);

}  // namespace convkit::detail
