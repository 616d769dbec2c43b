#pragma once

#include "compile/plan/constant_pool.h"
#include "compile/plan/graph.h"

namespace convkit::detail {

/// Takes out the operators whose results are the same for all inputs: they are constants.
void fold_constants(Graph& graph);

/// Takes out the operators whose only result is equal to their input: dropout in eval mode, a `to` of the
/// same type, copies that nothing writes to. In an exact graph only those that keep the layout.
void remove_identities(Graph& graph);

/// Takes out the steps that nothing needs.
void remove_dead(Graph& graph);

/// Gives the graph copies of its constants, since the module's own weights may change later: those of the
/// pool, so that plans of equal constants share them. What is no constant of a step loses its tensor.
void copy_constants(Graph& graph, ConstantPool& pool);

}  // namespace convkit::detail
