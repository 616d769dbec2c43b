#include "data/single_thread.h"

#include <ATen/Parallel.h>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace convkit::data::detail {

void use_one_thread() {
  // LibTorch sets a thread's number once, when it is asked for it first. at::set_num_threads() would
  // set it for threads that come later too.
  at::get_num_threads();
#ifdef _OPENMP
  omp_set_num_threads(1);
#endif
}

}  // namespace convkit::data::detail
