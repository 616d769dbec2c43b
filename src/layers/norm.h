#pragma once

#include <convkit/norm.h>

#include <cstdint>
#include <memory>

namespace convkit::detail {

/// make_norm() whose errors name the module that wants it.
std::shared_ptr<torch::nn::Module> norm_of(const char* module, const Norm& norm, int64_t channels);

}  // namespace convkit::detail
