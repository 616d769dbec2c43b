#include "compile/plan/plan.h"

#include "compile/plan/affine.h"
#include "compile/plan/concatenations.h"
#include "compile/plan/convolutions.h"
#include "compile/plan/fusion.h"
#include "compile/plan/layouts.h"
#include "compile/plan/paddings.h"
#include "compile/plan/permutations.h"
#include "compile/plan/purity.h"
#include "compile/plan/signals.h"
#include "compile/plan/simplify.h"

namespace convkit::detail {

Graph make_plan(const Tape& tape, bool fuse, ConstantPool& pool) {
  const torch::NoGradGuard no_grad;
  Graph graph(tape);
  graph.exact = !fuse;

  find_overwritten(graph);
  fold_constants(graph);
  if (!graph.exact) keep_layouts(graph);
  remove_identities(graph);
  if (!graph.exact) {
    make_pure(graph);
    see_signals_as_images(graph);
    find_convolutions(graph);
    sink_permutations(graph);
    find_affine(graph);
    fuse_into_convolutions(graph);
    take_in_paddings(graph);
    split_concatenations(graph);
    remove_dead(graph);
    find_last_copies(graph);
  }
  copy_constants(graph, pool);
  return graph;
}

}  // namespace convkit::detail
