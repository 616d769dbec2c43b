#pragma once

#include <convkit/norm.h>

#include <cstdint>
#include <memory>

namespace convkit::detail {

/// Does what make_norm() does, with errors that name the module that wants the norm.
std::shared_ptr<torch::nn::Module> norm_of(const char* module, const Norm& norm, int64_t channels);

}  // namespace convkit::detail
