#pragma once

#include <convkit/checkpoint.h>

#include <c10/util/Exception.h>

namespace convkit::detail {

using Problem = CheckpointError::Problem;

/// Throws a problem of a file that is read. What the readers throw otherwise is one of the kind
/// that their caller gives to with_problem().
template <typename... Parts>
[[noreturn]] void fail_to_load(Problem problem, const Parts&... parts) {
  throw CheckpointError(problem, c10::str("load_checkpoint: ", parts...));
}

/// Gives what `body` does. Errors that say no kind of problem get this one; bad options have none.
template <typename Body>
auto with_problem(Problem problem, const Body& body) {
  try {
    return body();
  } catch (const CheckpointError&) {
    throw;
  } catch (const c10::ValueError&) {
    throw;
  } catch (const c10::Error& error) {
    throw CheckpointError(problem, error.what_without_backtrace());
  }
}

}  // namespace convkit::detail
