#include "training.h"

#include <convkit/clip_grad.h>
#include <convkit/state_dict.h>

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdio>

namespace train {

namespace {

using Clock = std::chrono::steady_clock;

double images_per_second(int64_t images, Clock::time_point begun) {
  return static_cast<double>(images) / std::chrono::duration<double>(Clock::now() - begun).count();
}

std::string text_of(const nlohmann::ordered_json& line) {
  std::string text;
  for (const auto& [name, value] : line.items()) {
    const std::string shown =
        value.is_number_float() ? fmt::format("{:.6g}", value.get<double>()) : value.dump();
    text += (text.empty() ? "" : ", ") + name + " " + shown;
  }
  return text;
}

}  // namespace

Sums::Sums() : values(at::zeros({3}, torch::kDouble)) {}

void Sums::add(double loss, int64_t hits, int64_t images) {
  double* sums = values.mutable_data_ptr<double>();
  sums[0] += loss * static_cast<double>(images);
  sums[1] += static_cast<double>(hits);
  sums[2] += static_cast<double>(images);
}

double Sums::loss() const {
  return values[0].item<double>() / values[2].item<double>();
}
double Sums::accuracy() const {
  return values[1].item<double>() / values[2].item<double>();
}
int64_t Sums::images() const {
  return static_cast<int64_t>(values[2].item<double>());
}

Sums Training::of_all(const Sums& sums) const {
  Sums all;
  all.values.copy_(sums.values);
  if (group_) group_->all_reduce(all.values);
  return all;
}

void Training::run() {
  resume();
  while (epoch_ < flags_.epochs) {
    train_epoch();
    end_epoch();
  }
}

void Training::train_epoch() {
  (*network_)->train();
  if (sampler_) sampler_->set_epoch(epoch_);
  epoch_begun_ = Clock::now();
  images_before_ = of_all(sums_).images();
  waited_ = Clock::duration::zero();
  auto asked = Clock::now();
  for (const auto& [images, labels] : *images_) {
    waited_ += Clock::now() - asked;
    step(images, labels);
    if (flags_.checkpoint_every != 0 && step_ % flags_.checkpoint_every == 0) save("last.pt");
    asked = Clock::now();
  }
}

void Training::step(const torch::Tensor& images, const torch::Tensor& labels) {
  const auto begun = Clock::now();
  const double lr = optimizer_->lr();
  optimizer_->zero_grad();
  const auto [loss, hits] = loss_of(parallel_ ? (*parallel_)(images) : (*network_)(images), labels);
  loss.backward();
  if (flags_.clip_grad_norm > 0) {
    convkit::optim::clip_grad_norm_((*network_)->parameters(), flags_.clip_grad_norm);
  }
  optimizer_->step();
  ++step_;
  Sums sums;
  sums.add(loss.item<double>(), hits, images.size(0));
  sums_.values += sums.values;
  if (flags_.log_steps) {
    sums = of_all(sums);
    print({{"epoch", epoch_ + 1},
           {"step", step_},
           {"lr", lr},
           {"loss", sums.loss()},
           {"accuracy", sums.accuracy()},
           {"images_per_second", images_per_second(sums.images(), begun)}});
  }
  if (is_first()) {
    const int64_t of = images_->size() * flags_.epochs * flags_.batch_size;
    progress_.show(step_ * flags_.batch_size, of,
                   fmt::format(", epoch {}, loss {:.4f}", epoch_ + 1, sums_.loss()));
  }
}

std::pair<torch::Tensor, int64_t> Training::loss_of(const Result& outputs,
                                                    const torch::Tensor& labels) {
  // What the papers of GoogLeNet and of Inception v3 give their auxiliary heads: 0.3, and in effect 0.4.
  const double part = flags_.model == "googlenet" ? 0.3 : 0.4;
  torch::Tensor loss;
  for (const auto& output : outputs) {
    const torch::Tensor& logits = output.value();
    TORCH_CHECK_VALUE(logits.dim() == 2, "--model: expected a network for classification, got ",
                      flags_.model);
    const torch::Tensor one = at::cross_entropy_loss(logits, labels, {}, at::Reduction::Mean, -100,
                                                     flags_.label_smoothing);
    loss = loss.defined() ? loss + part * one : one;
  }
  const torch::NoGradGuard no_grad;
  const torch::Tensor hits = outputs.front().value().argmax(1).eq(labels).sum();
  return {loss, hits.item<int64_t>()};
}

Sums Training::validate() {
  const torch::NoGradGuard no_grad;
  (*network_)->eval();
  // Every process has statistics of its own until the next step of a training.
  for (const torch::Tensor& buffer : (*network_)->buffers()) {
    if (!is_first()) buffer.zero_();
    if (group_) group_->all_reduce(buffer);
  }
  Sums sums;
  for (const auto& [images, labels] : *validation_) {
    const auto [loss, hits] = loss_of((*network_)(images), labels);
    sums.add(loss.item<double>(), hits, images.size(0));
  }
  return of_all(sums);
}

void Training::end_epoch() {
  const std::chrono::duration<double> waited = waited_;
  const std::chrono::duration<double> took = Clock::now() - epoch_begun_;
  const Sums sums = of_all(sums_);
  nlohmann::ordered_json line{
      {"epoch", epoch_ + 1},
      {"step", step_},
      {"lr", optimizer_->lr()},
      {"loss", sums.loss()},
      {"accuracy", sums.accuracy()},
      {"images_per_second", images_per_second(sums.images() - images_before_, epoch_begun_)},
      {"waited", waited / took}};
  bool better = false;
  if (validation_) {
    const Sums validated = validate();
    line["val_loss"] = validated.loss();
    line["val_accuracy"] = validated.accuracy();
    better = validated.accuracy() > best_;
    if (better) best_ = validated.accuracy();
  }
  print(line);
  if (schedule_) schedule_->step();
  ++epoch_;
  sums_ = Sums();
  if (better) save("best.pt");
  save("last.pt");
}

void Training::print(const nlohmann::ordered_json& line) {
  if (!is_first()) return;
  progress_.clear();
  fmt::print("{}\n", flags_.json ? line.dump() : text_of(line));
  std::fflush(stdout);
}

}  // namespace train
