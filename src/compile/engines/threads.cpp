#include "compile/engines/threads.h"

#include <exception>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace convkit::detail {

void on_threads([[maybe_unused]] int threads, const std::function<void(int, int)>& f) {
#ifdef _OPENMP
  if (threads > 1) {
    std::exception_ptr error;  // none may leave the parallel region
#pragma omp parallel num_threads(threads)
    try {
      f(omp_get_thread_num(), omp_get_num_threads());
    } catch (...) {
#pragma omp critical(convkit_on_threads)
      error = std::current_exception();
    }
    if (error) std::rethrow_exception(error);
    return;
  }
#endif
  f(0, 1);
}

}  // namespace convkit::detail
