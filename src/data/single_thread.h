#pragma once

namespace convkit::data::detail {

/// LibTorch's operators compute with one thread on the thread that calls this, as long as it lives.
void use_one_thread();

}  // namespace convkit::data::detail
