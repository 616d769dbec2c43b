#pragma once

#include <convkit/data.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

namespace convkit::data::detail {

/// Threads, each with its own queues of what it is to load and what it has loaded. Since batch b is
/// worker b % n's, the order of batches is that of the queues.
class Workers {
 public:
  /// A batch, or the exception that came in its place.
  struct Result {
    std::shared_ptr<void> batch;
    std::exception_ptr error;
    torch::Tensor state;  // of the worker's generator after it
  };

  Workers(int64_t count, uint64_t seed, Load load);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int64_t count() const { return static_cast<int64_t>(queues_.size()); }
  /// The generator of the worker of a batch; before start() alone.
  at::Generator& generator(int64_t batch) { return of(batch).generator; }

  /// Apart from the constructor, so that a thread that cannot be started ends the others.
  void start();
  void put(int64_t batch, std::vector<int64_t> indices);
  /// Waits for a batch.
  Result take(int64_t batch);

 private:
  struct Queue {
    at::Generator generator;
    std::deque<std::vector<int64_t>> tasks;
    std::condition_variable given;  // a task, or the end
    std::deque<Result> results;
    std::thread thread;
  };

  Queue& of(int64_t batch) { return queues_[static_cast<std::size_t>(batch) % queues_.size()]; }
  void work(Queue& queue);

  Load load_;
  std::vector<Queue> queues_;
  std::mutex mutex_;
  std::condition_variable loaded_;
  std::atomic<bool> stopped_ = false;
};

}  // namespace convkit::data::detail
