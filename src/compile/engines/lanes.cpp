#include "compile/engines/lanes.h"

#include <ATen/Version.h>

#include <string>

namespace convkit::detail::lanes {

Processor processor() {
  static const Processor here = [] {
    const std::string name = at::get_cpu_capability();
    if (name == "AVX512" || name == "AVX512_VNNI" || name == "AVX512_BF16") {
      return Processor::kAvx512;
    }
    return name == "AVX2" ? Processor::kAvx2 : Processor::kAny;
  }();
  return here;
}

}  // namespace convkit::detail::lanes
