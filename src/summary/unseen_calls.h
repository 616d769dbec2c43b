#pragma once

#include "summary/collector.h"

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

/// Finds the modules whose calls nobody tells of.
namespace convkit::detail {

/// Says which module without weights called an operator, by its type and its place in the order. It
/// keeps what it finds out about the parts of a module: if the calls of a part are told of, or if
/// it has run, that stays true.
class UnseenCalls {
 public:
  /// `modules` is what is known of all modules. It may change, and has to live longer than this.
  explicit UnseenCalls(std::map<const torch::nn::Module*, ModuleRecord>& modules)
      : modules_(modules) {}

  /// Gives the next module in `inside`, in order, of a type that calls the operator of this plain
  /// name; if all have run, the first one again; null if there is none. It also looks into parts
  /// whose calls nobody tells of, such as an encoder that is asked for its features.
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
