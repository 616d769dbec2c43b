// port_check FOLDER: compares each page of pages.h with its recording, and says which differ. A clone
// of each has to give the same, and its weights have to be others.
#include "pages.h"

#include <convkit/compare.h>
#include <convkit/state_dict.h>

#include <ATen/Parallel.h>

#include <iostream>
#include <string>

namespace {

/// Compares a module with its recording; says whether it is equal.
template <typename Holder>
bool is_equal(const std::string& folder, const std::string& name) {
  try {
    const auto recording = convkit::load_recording(folder + "/" + name + ".safetensors");
    torch::set_num_threads(static_cast<int>(recording.threads));
    torch::manual_seed(static_cast<uint64_t>(recording.seed));
    Holder net;
    const auto comparison = convkit::compare(*net, recording);
    std::cout << name << ": " << (comparison ? "equal" : "different") << ", "
              << comparison.layers.size() << " layers, " << comparison.training.size()
              << " rows of training, " << comparison.initialisation.size() << " begin elsewhere\n";
    if (!comparison) std::cout << comparison << '\n';
    const auto copy = net->clone();
    copy->eval();
    net->eval();
    const torch::Tensor& x = recording.calls.back().inputs.at(0).second;
    const torch::NoGradGuard no_grad;
    const bool same = torch::equal(net(x.clone()), convkit::forward_child(*copy, x.clone()));
    if (!same) std::cout << name << ": its clone gives something else\n";
    for (const torch::Tensor& parameter : net->parameters()) parameter.zero_();
    bool alive = net->parameters().empty();
    for (const torch::Tensor& parameter : copy->parameters()) {
      alive = alive || parameter.count_nonzero().template item<int64_t>() > 0;
    }
    if (!alive) std::cout << name << ": its clone shares its weights\n";
    return comparison && same && alive;
  } catch (const c10::Error& error) {
    std::cout << name << ": " << error.what_without_backtrace() << '\n';
    return false;
  } catch (const std::exception& error) {
    std::cout << name << ": " << error.what() << '\n';
    return false;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : ".";
  bool equal = true;
#define CONVKIT_PAGE(name, root) equal = is_equal<name::root>(folder, #name) && equal;
  CONVKIT_PAGES(CONVKIT_PAGE)
  return equal ? 0 : 1;
}
