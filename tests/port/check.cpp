// port_check FOLDER: compares each page of pages.h with its recording, and says which differ. A clone
// of each has to give the same, and its weights have to be others; and so has compile(), up to the order of
// its sums.
#include "pages.h"

#include <convkit/compare.h>
#include <convkit/compile.h>
#include <convkit/state_dict.h>

#include <ATen/Parallel.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <type_traits>

namespace {

/// The inputs of the outermost module.
Tensors inputs_of(const convkit::Recording& recording) {
  Tensors inputs;
  for (const auto& [name, x] : recording.calls.back().inputs) inputs.push_back(x.clone());
  return inputs;
}

/// Whether a clone gives the same, of weights of its own.
template <typename Holder>
bool is_cloned(const std::string& name, Holder net, const convkit::Recording& recording) {
  using Impl = typename Holder::Impl;
  Holder copy(std::dynamic_pointer_cast<Impl>(net->clone()));
  copy->eval();
  const bool same =
      std::ranges::equal(run(net, inputs_of(recording)), run(copy, inputs_of(recording)),
                         [](const auto& a, const auto& b) { return torch::equal(a, b); });
  if (!same) std::cout << name << ": its clone gives something else\n";
  const Tensors before = net->parameters();
  for (const torch::Tensor& parameter : before) parameter.zero_();
  bool alive = before.empty();
  for (const torch::Tensor& parameter : copy->parameters()) {
    alive = alive || parameter.count_nonzero().template item<int64_t>() > 0;
  }
  if (!alive) std::cout << name << ": its clone shares its weights\n";
  return same && alive;
}

/// Whether compile() gives the same, to the 1e-3 that it holds its plans to; of what maps one tensor to one.
template <typename Holder>
bool is_compiled(const std::string& name, Holder net, const convkit::Recording& recording) {
  if constexpr (std::is_base_of_v<convkit::TensorModule, typename Holder::Impl>) {
    try {
      const torch::Tensor x = inputs_of(recording)[0];
      const auto fast = convkit::compile(net, x, {.timing = false});
      const auto found = convkit::difference(fast(x), net(x.clone()));
      if (found.explanation.empty() && found.relative_to_scale <= 1e-3) return true;
      std::cout << name << ": compile() gives something else\n";
      return false;
    } catch (const c10::Error& error) {
      std::cout << name << ": compile() refuses it: " << error.what_without_backtrace() << '\n';
    }
  }
  return true;
}

/// Compares a module with its recording; says whether it is equal.
template <typename Holder>
bool is_equal(const std::string& folder, const std::string& name) {
  try {
    const auto recording = convkit::load_recording(folder + "/" + name + ".safetensors");
    torch::set_num_threads(static_cast<int>(recording.threads));
    torch::manual_seed(static_cast<uint64_t>(recording.seed));
    Holder net;
    const auto forward = [&net](const Tensors& inputs) { return run(net, inputs); };
    const auto comparison = convkit::compare(*net, forward, recording);
    std::cout << name << ": " << (comparison ? "equal" : "different") << ", "
              << comparison.layers.size() << " layers, " << comparison.training.size()
              << " rows of training, " << comparison.initialisation.size() << " begin elsewhere"
              << std::endl;  // also where the process ends for want of memory
    if (!comparison) std::cout << comparison << '\n';
    const torch::NoGradGuard no_grad;
    const bool compiled = is_compiled(name, net, recording);
    return is_cloned(name, net, recording) && compiled && comparison;
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
  int pages = 0;
#define CONVKIT_PAGE(name, root)                        \
  equal = is_equal<name::root>(folder, #name) && equal; \
  ++pages;
  CONVKIT_PAGES(CONVKIT_PAGE)
  if (pages == 0) return 4;  // what stands for a skipped test
  return equal ? 0 : 1;
}
