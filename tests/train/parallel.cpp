// The trainings of tests/parity/parallel.py, by one of several processes: parallel FOLDER [RESUME.pt]
//
// It compares with Python's, as a test starts it by torchrun. With RESUME.pt it begins where that file ends, writes it after every
// step, and ends the second process by a signal in the middle of the first attempt.
#include <convkit/checkpoint.h>
#include <convkit/models/resnet.h>
#include <convkit/optim.h>
#include <convkit/parallel.h>
#include <convkit/tree.h>

#include <torch/nn/functional/activation.h>
#include <torch/nn/functional/loss.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/utils.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/randn.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>

namespace {

using convkit::Tree;
using convkit::parallel::DistributedDataParallel;
using convkit::parallel::ProcessGroup;

struct BranchesImpl : torch::nn::Module {
  BranchesImpl() {
    stem = register_module("stem", torch::nn::Linear(600, 600));
    left = register_module("left", torch::nn::Linear(600, 600));
    right = register_module("right", torch::nn::Linear(600, 600));
    aside = register_module("aside", torch::nn::Linear(600, 5));
    unused = register_module("unused", torch::nn::Linear(7, 3));
  }
  std::tuple<torch::Tensor, torch::Tensor> forward(torch::Tensor x, bool to_the_left) {
    x = torch::relu(stem(x));
    return {to_the_left ? left(x) : right(x), aside(x)};
  }
  torch::nn::Linear stem{nullptr}, left{nullptr}, right{nullptr}, aside{nullptr}, unused{nullptr};
};
TORCH_MODULE(Branches);

struct SmallImpl : torch::nn::Module {
  SmallImpl() {
    conv = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3).padding(1)));
    bn = register_module("bn", torch::nn::BatchNorm2d(8));
    fc = register_module("fc", torch::nn::Linear(8, 10));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    return fc(torch::relu(bn(conv(x))).mean({2, 3}));
  }
  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d bn{nullptr};
  torch::nn::Linear fc{nullptr};
};
TORCH_MODULE(Small);

torch::Tensor draw(torch::IntArrayRef shape, int64_t step, int64_t part, int64_t rank) {
  return torch::randn(shape, at::detail::createCPUGenerator(1000 * step + 10 * part + rank));
}

torch::Tensor loss_of(const torch::Tensor& y, int64_t step, int64_t rank) {
  const torch::Tensor labels = (at::arange(4) * 3 + step + rank) % 10;
  return torch::nn::functional::cross_entropy(y, labels);
}

torch::Tensor step_of(DistributedDataParallel<convkit::models::resnet::ResNet>& ddp, int64_t step,
                      int64_t rank) {
  const torch::Tensor loss = loss_of(ddp(draw({4, 3, 32, 32}, step, 0, rank)), step, rank);
  loss.backward();
  return loss;
}

torch::Tensor step_of(DistributedDataParallel<Branches>& ddp, int64_t step, int64_t rank) {
  const auto [y, aside] = ddp(draw({4, 600}, step, 0, rank), (step + rank) % 2 == 0 || step == 2);
  const torch::Tensor loss = y.square().mean();
  loss.backward();
  return loss;
}

torch::Tensor step_of(DistributedDataParallel<Small>& ddp, int64_t step, int64_t rank) {
  for (int64_t part = 0; part < 2; ++part) {
    const auto alone = ddp.no_sync();
    loss_of(ddp(draw({4, 3, 8, 8}, step, part, rank)), step, rank).backward();
  }
  if (step == 1) {
    const torch::NoGradGuard no_grad;
    ddp(draw({4, 3, 8, 8}, step, 2, rank));
  }
  const torch::Tensor first = ddp(draw({4, 3, 8, 8}, step, 3, rank));
  const torch::Tensor loss = loss_of(first + ddp(draw({4, 3, 8, 8}, step, 4, rank)), step, rank);
  loss.backward();
  return loss;
}

int64_t digest(const torch::Tensor& tensor) {
  if (!tensor.defined()) return -1;
  const auto type = tensor.element_size() == 4 ? torch::kInt : torch::kLong;
  const torch::Tensor bits = tensor.detach().contiguous().reshape(-1).view(type).to(torch::kLong);
  return (bits * (at::arange(bits.numel()) * 2654435761 + 1)).sum().item<int64_t>();
}

/// What Python has computed, and how far this process agrees.
class Reference {
 public:
  Reference(const std::string& folder, const std::string& name, const ProcessGroup& group)
      : name_(name),
        rank_(group.rank()),
        state_(convkit::load_checkpoint(folder + "/" + name + "_" +
                                        std::to_string(group.world_size()) + "_" +
                                        std::to_string(rank_) + ".safetensors")
                   .state) {
    // Constant results would prove nothing.
    const torch::Tensor losses = state_["losses"];
    expect(losses.min().item<double>() < losses.max().item<double>(), "losses that change");
  }

  int64_t steps() const { return state_["losses"].size(0); }

  void check(int64_t step, const torch::Tensor& loss, const std::vector<int64_t>& digests) const {
    const std::string where = " of step " + std::to_string(step);
    expect(torch::equal(loss, state_["losses"][step]), "the loss" + where);
    const torch::Tensor python = state_["digests"][step];
    expect(python.numel() == static_cast<int64_t>(digests.size()), "as many tensors");
    for (std::size_t i = 0; i < digests.size(); ++i) {
      expect(python[static_cast<int64_t>(i)].item<int64_t>() == digests[i],
             "tensor " + std::to_string(i) + where);
    }
  }

  void check_last(const torch::nn::Module& ddp) const {
    if (rank_ != 0) return;
    const convkit::StateDict ours = convkit::state_dict(ddp);
    expect(ours.size() + 2 == state_.size(), "as many keys");
    for (const auto& item : ours) {
      expect(torch::equal(item.value(), state_[item.key()]), item.key());
    }
  }

 private:
  void expect(bool fact, const std::string& what) const {
    TORCH_CHECK(fact, name_, ", process ", rank_, ": expected ", what, " to be Python's");
  }

  std::string name_;
  int64_t rank_;
  convkit::StateDict state_;
};

/// A training in one file, which one process writes.
class Resumed {
 public:
  Resumed(std::string path, const ProcessGroup& group) : path_(std::move(path)), group_(group) {}

  int64_t load(torch::nn::Module& ddp, convkit::optim::SGD& optimizer) const {
    if (path_.empty()) return 0;
    TORCH_CHECK(std::filesystem::exists(path_) == !first_attempt(),
                "expected one file at the second attempt");
    if (first_attempt()) return 0;
    const Tree saved = convkit::load_tree(path_);
    convkit::load_state_dict(ddp, saved.at("model").state_dict());
    optimizer.load_state_dict(saved.at("optimizer"));
    return saved.at("step").integer();
  }

  void save(const torch::nn::Module& ddp, const convkit::optim::SGD& optimizer,
            int64_t step) const {
    if (path_.empty()) return;
    if (group_.rank() == 0) {
      Tree all = Tree::dict();
      all.set("model", convkit::state_dict(ddp));
      all.set("optimizer", optimizer.state_dict());
      all.set("step", step);
      convkit::save_tree(path_, all);
    }
    group_.barrier();
    if (step == 3 && group_.rank() == 1 && first_attempt()) std::raise(SIGKILL);
  }

 private:
  static bool first_attempt() {
    return std::string(std::getenv("TORCHELASTIC_RESTART_COUNT")) == "0";
  }

  std::string path_;
  const ProcessGroup& group_;
};

template <typename Make>
void train(const ProcessGroup& group, const std::string& folder, const std::string& name,
           const std::string& resume, const Make& make,
           convkit::parallel::DistributedDataParallelOptions options = {}) {
  const Reference reference(folder, name, group);
  torch::manual_seed(7 + static_cast<uint64_t>(group.rank()));
  DistributedDataParallel ddp(make(), group, options);
  convkit::optim::SGD optimizer(ddp.parameters(), {.lr = 0.05, .momentum = 0.9});
  const Resumed resumed(resume, group);
  for (int64_t step = resumed.load(ddp, optimizer); step < reference.steps(); ++step) {
    optimizer.zero_grad();
    const torch::Tensor loss = step_of(ddp, step, group.rank()).detach();
    std::vector<int64_t> digests;
    for (const torch::Tensor& parameter : ddp.parameters()) {
      digests.push_back(digest(parameter.grad()));
    }
    optimizer.step();
    for (const auto& item : convkit::state_dict(ddp)) digests.push_back(digest(item.value()));
    reference.check(step, loss, digests);
    resumed.save(ddp, optimizer, step + 1);
  }
  reference.check_last(ddp);
}

/// The second process ends, or stops, when all have found each other: `parallel killed barrier`.
void lose(const ProcessGroup& group, const std::string& how, const std::string& where) {
  DistributedDataParallel ddp(Small(), group);
  const torch::Tensor loss = loss_of(ddp(draw({4, 3, 8, 8}, 0, 0, 0)), 0, 0);
  const torch::Tensor sum = at::arange(1000.0) * static_cast<double>(group.rank() + 1);
  group.all_reduce(sum);
  const auto n = static_cast<double>(group.world_size());
  TORCH_CHECK(torch::equal(sum, at::arange(1000.0) * (n * (n + 1) / 2)), "a wrong sum");
  if (group.rank() == 1) std::raise(how == "killed" ? SIGKILL : SIGSTOP);
  if (where == "barrier") group.barrier();
  if (where == "all_reduce") group.all_reduce(sum);
  if (where == "backward") loss.backward();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    torch::set_num_threads(1);
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    TORCH_CHECK(!arguments.empty() && arguments.size() <= 2,
                "usage: parallel FOLDER [RESUME.pt], or parallel killed|stopped WHERE");
    if (arguments[0] == "killed" || arguments[0] == "stopped") {
      lose(convkit::parallel::init_process_group({.timeout = std::chrono::seconds(6)}),
           arguments[0], arguments[1]);
      return 0;
    }
    const auto group = convkit::parallel::init_process_group({.timeout = std::chrono::minutes(2)});
    const auto& folder = arguments[0];
    if (arguments.size() == 2) {
      train(group, folder, "small", arguments[1], [] { return Small(); });
      return 0;
    }
    train(group, folder, "resnet18", "", [] { return convkit::models::resnet18(); });
    train(group, folder, "branches", "", [] { return Branches(); },
          {.find_unused_parameters = true});
    train(group, folder, "small", "", [] { return Small(); });
    train(group, folder, "apart", "", [] { return Small(); }, {.broadcast_buffers = false});
    if (group.rank() == 0) std::cout << "equal to Python's, with " << group.world_size() << '\n';
    group.barrier();
    return 0;
  } catch (const c10::Error& error) {
    std::cerr << error.what_without_backtrace() << '\n';
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
  }
  return 1;
}
