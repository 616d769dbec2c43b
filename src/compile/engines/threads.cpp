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

void for_one_thread(const std::function<void()>& f) {
#ifdef _OPENMP
  // Of this thread alone: at::set_num_threads would change what other threads begin with.
  struct Restored {
    int threads = omp_get_max_threads();
    ~Restored() { omp_set_num_threads(threads); }
  } restored;
  omp_set_num_threads(1);
#endif
  f();
}

}  // namespace convkit::detail
