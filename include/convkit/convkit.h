#pragma once

/// Everything, in the order in which the headers build on each other. A file that includes one of
/// them alone compiles faster.

// clang-format off
#include <convkit/arithmetic.h>
#include <convkit/module.h>
#include <convkit/init.h>
#include <convkit/conv.h>
#include <convkit/same.h>
#include <convkit/filters.h>
#include <convkit/activation.h>
#include <convkit/norm.h>
#include <convkit/blocks.h>
#include <convkit/separable.h>
#include <convkit/upsample.h>
#include <convkit/attention.h>
#include <convkit/state_dict.h>
#include <convkit/checkpoint.h>
// clang-format on
