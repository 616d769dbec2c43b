#include "data/workers.h"

#include <convkit/transform_modules.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace convkit::data::detail {

namespace {

/// LibTorch's operators compute with one thread on the thread that calls this.
void use_one_thread() {
  // LibTorch sets a thread's number when it is asked for it first. at::set_num_threads() would set it
  // for threads that come later too.
  at::get_num_threads();
#ifdef _OPENMP
  omp_set_num_threads(1);
#endif
}

}  // namespace

Workers::Workers(int64_t count, uint64_t seed, Load load)
    : load_(std::move(load)), queues_(static_cast<std::size_t>(count)) {
  for (std::size_t w = 0; w < queues_.size(); ++w) {
    queues_[w].generator = at::detail::createCPUGenerator(seed + w);
  }
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  for (Queue& queue : queues_) queue.given.notify_one();
  for (Queue& queue : queues_) {
    if (queue.thread.joinable()) queue.thread.join();
  }
}

void Workers::start() {
  for (Queue& queue : queues_) {
    queue.thread = std::thread([this, &queue] { work(queue); });
  }
}

void Workers::put(int64_t batch, std::vector<int64_t> indices) {
  const std::lock_guard lock(mutex_);
  of(batch).tasks.push_back(std::move(indices));
  of(batch).given.notify_one();
}

Workers::Result Workers::take(int64_t batch) {
  std::unique_lock lock(mutex_);
  std::deque<Result>& results = of(batch).results;
  loaded_.wait(lock, [&] { return !results.empty(); });
  Result result = std::move(results.front());
  results.pop_front();
  return result;
}

void Workers::work(Queue& queue) {
  use_one_thread();
  const transforms::GeneratorScope scope(queue.generator);
  std::unique_lock lock(mutex_);
  while (true) {
    queue.given.wait(lock, [&] { return stopped_ || !queue.tasks.empty(); });
    if (stopped_) return;
    const std::vector<int64_t> indices = std::move(queue.tasks.front());
    queue.tasks.pop_front();
    lock.unlock();
    Result result;
    try {
      result.batch = load_(indices, queue.generator, stopped_);
    } catch (...) {
      result.error = std::current_exception();
    }
    result.state = queue.generator.get_state();
    lock.lock();
    queue.results.push_back(std::move(result));
    loaded_.notify_one();
  }
}

}  // namespace convkit::data::detail
