#pragma once

#include <torch/csrc/autograd/edge.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

/// What flows where in one forward of a network. The graph by which LibTorch computes gradients has
/// each operator that ran and what it was given, and a weight among that says whose operator it is.
namespace draw {

/// Whether a module is a part of another one, by their paths.
bool is_within(const std::string& path, const std::string& outer);

/// A module that ran.
struct Call {
  std::string path;    ///< empty for the outermost
  int64_t outer = -1;  ///< the call that it is a part of
  int64_t time = 0;    ///< when it began
  /// Where the gradients of its outputs go in.
  std::vector<torch::autograd::Edge> outputs;
};

struct Operation {
  std::string name;  ///< LibTorch's, as in Add; empty for a call that gives what it is given
  int64_t call = 0;  ///< the innermost one
  int64_t time = 0;
  std::vector<int64_t> inputs;  ///< the operations that gave them; -1 is the input of the network
};

struct Flow {
  std::vector<Call> calls;            ///< the outermost first, and each after its outer one
  std::vector<Operation> operations;  ///< in the order in which they ran
  int64_t output = -1;                ///< the operation that gave the result
  torch::Tensor input;                ///< whose gradient can be asked for

  /// The first call of a module; -1 if none was seen.
  [[nodiscard]] int64_t first_call(const std::string& path) const;
};

/// Runs the network once, in eval mode.
///
/// Throws: c10::TypeError for a network that forward_child() cannot run; what it throws.
Flow flow_of(torch::nn::Module& network, const torch::Tensor& input);

}  // namespace draw
