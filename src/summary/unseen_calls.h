#pragma once

#include "summary/collector.h"

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

/// Finds the modules whose calls nobody tells of.
namespace convkit::detail {

/// Says which module without weights called an operator, by its type and its place in the order.
/// What it has found out of a module's parts it keeps: a part whose calls are told of, or that has
/// run, stays one.
class UnseenCalls {
 public:
  /// `modules` is what is known of all modules; it may change, but outlives this.
  explicit UnseenCalls(std::map<const torch::nn::Module*, ModuleRecord>& modules)
      : modules_(modules) {}

  /// Of the modules in `inside`, the next one of the type that calls the operator of this plain
  /// name; else the first one again. It also looks into parts whose calls nobody tells of: an
  /// encoder that is asked for its features.
  const torch::nn::Module* find(const torch::nn::Module& inside, const std::string& name);

 private:
  /// A module of the type, or one that holds some.
  struct Node {
    const torch::nn::Module* module = nullptr;
    const ModuleRecord* record = nullptr;
    std::ptrdiff_t parent = -1;  ///< the node that it is in; -1 directly in `inside`
  };
  struct Candidates {
    std::vector<Node> nodes;
    std::vector<std::ptrdiff_t> places;  ///< of the nodes that are of the type, in order
    std::size_t first = 0;               ///< candidates before it are told of
    std::size_t next = 0;                ///< candidates before it are told of, or have run
  };

  void add_parts(Candidates& candidates, const torch::nn::Module& module, std::ptrdiff_t parent,
                 const std::string& name) const;

  std::map<const torch::nn::Module*, ModuleRecord>& modules_;
  std::map<std::pair<const torch::nn::Module*, std::string>, Candidates> candidates_;
};

}  // namespace convkit::detail
