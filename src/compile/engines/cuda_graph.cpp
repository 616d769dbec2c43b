#include "compile/engines/cuda_graph.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/Event.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <mutex>

namespace convkit::detail {

namespace {

class CudaGraphEngine : public Engine {
 public:
  /// Throws c10::Error where an operator cannot be captured.
  CudaGraphEngine(std::shared_ptr<Engine> engine, const Tensors& example)
      : engine_(std::move(engine)) {
    const c10::cuda::CUDAGuard device(example.front().device());
    for (const torch::Tensor& input : example) inputs_.push_back(input.clone());
    // Libraries allocate and choose their kernels on the first runs, which a capture does not allow.
    const auto stream = c10::cuda::getStreamFromPool();
    c10::cuda::getCurrentCUDAStream().synchronize();
    const c10::cuda::CUDAStreamGuard guard(stream);
    for (int i = 0; i < 3; ++i) engine_->run(inputs_);
    stream.synchronize();
    graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    try {
      outputs_ = engine_->run(inputs_);
    } catch (...) {
      try {
        graph_.capture_end();
      } catch (const c10::Error&) {  // the first error says more
      }
      throw;
    }
    graph_.capture_end();
  }

  /// The graph has one set of inputs and outputs: calls follow one another, on any streams.
  Tensors run(const Tensors& inputs, const Watch* watch) override {
    if (watch != nullptr) return engine_->run(inputs, watch);  // which a graph cannot
    const std::lock_guard lock(mutex_);
    const c10::cuda::CUDAGuard device(inputs_.front().device());
    const auto stream = c10::cuda::getCurrentCUDAStream();
    last_run_.block(stream);
    for (std::size_t i = 0; i < inputs.size(); ++i) inputs_[i].copy_(inputs[i], true);
    graph_.replay();
    Tensors results;
    results.reserve(outputs_.size());
    for (const torch::Tensor& output : outputs_) results.push_back(output.clone());
    last_run_.record(stream);
    return results;
  }

  void explain(PlanExplanation& plan) const override {
    engine_->explain(plan);
    plan.cuda_graph = true;
  }

 private:
  std::shared_ptr<Engine> engine_;
  Tensors inputs_;
  Tensors outputs_;
  at::cuda::CUDAGraph graph_;
  c10::Event last_run_{c10::DeviceType::CUDA};
  std::mutex mutex_;
};

class UncapturedEngine : public Engine {
 public:
  UncapturedEngine(std::shared_ptr<Engine> engine, std::string why)
      : engine_(std::move(engine)), why_(std::move(why)) {}

  Tensors run(const Tensors& inputs, const Watch* watch) override {
    return engine_->run(inputs, watch);
  }
  void explain(PlanExplanation& plan) const override {
    engine_->explain(plan);
    plan.remarks.push_back("no CUDA graph: " + why_);
    plan.fell_back = true;
  }

 private:
  std::shared_ptr<Engine> engine_;
  std::string why_;
};

}  // namespace

std::unique_ptr<Engine> make_cuda_graph(std::unique_ptr<Engine> engine, const Tensors& example) {
  const torch::NoGradGuard no_grad;
  const std::shared_ptr<Engine> shared = std::move(engine);
  try {
    return std::make_unique<CudaGraphEngine>(shared, example);
  } catch (const c10::Error& error) {
    return std::make_unique<UncapturedEngine>(shared, error.what_without_backtrace());
  }
}

}  // namespace convkit::detail
