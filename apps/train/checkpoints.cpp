// What a training begins with, and the files that it goes on with.
#include "training.h"

#include <convkit/checkpoint.h>
#include <convkit/presets.h>
#include <convkit/state_dict.h>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace train {

namespace fs = std::filesystem;
using convkit::Tree;
using convkit::parallel::ProcessGroup;

namespace {

/// The trees of all processes, which differ in what their tensors hold alone.
std::vector<Tree> gathered(const Tree& tree, const ProcessGroup& group) {
  const auto world = static_cast<std::size_t>(group.world_size());
  if (tree.kind() == Tree::Kind::kTensor) {
    const torch::Tensor own = tree.tensor();
    std::vector<int64_t> sizes = own.sizes().vec();
    sizes.insert(sizes.begin(), group.world_size());
    const torch::Tensor all = at::zeros(sizes, own.options());
    all[group.rank()].copy_(own);
    group.all_reduce(all);
    std::vector<Tree> trees;
    for (const torch::Tensor& each : all.unbind()) trees.emplace_back(each.clone());
    return trees;
  }
  if (tree.kind() == Tree::Kind::kList) {
    std::vector<Tree> trees(world, Tree::list());
    for (const Tree& item : tree.items()) {
      const std::vector<Tree> items = gathered(item, group);
      for (std::size_t i = 0; i < world; ++i) trees[i].add(items[i]);
    }
    return trees;
  }
  if (tree.kind() == Tree::Kind::kDict) {
    std::vector<Tree> trees(world, Tree::dict());
    for (const auto& [key, value] : tree.entries()) {
      const std::vector<Tree> values = gathered(value, group);
      for (std::size_t i = 0; i < world; ++i) trees[i].set(key, values[i]);
    }
    return trees;
  }
  return std::vector<Tree>(world, tree);
}

/// A process's part of the validation: every `world`-th image, none of them twice.
std::vector<int64_t> part_of(int64_t images, const std::optional<ProcessGroup>& group) {
  std::vector<int64_t> indices;
  const int64_t world = group ? group->world_size() : 1;
  for (int64_t i = group ? group->rank() : 0; i < images; i += world) indices.push_back(i);
  return indices;
}

/// A name that no file can hold would end the training at its first checkpoint.
void check_names(const std::vector<std::string>& classes) {
  using nlohmann::json;
  for (const std::string& name : classes) {
    try {
      (void)json(name).dump();
    } catch (const json::type_error&) {
      TORCH_CHECK_VALUE(false, "expected folders with names in UTF-8, got ",
                        json(name).dump(-1, ' ', true, json::error_handler_t::replace));
    }
  }
}

/// A number (FNV-1a's) that other names of images, or other classes of them, make another one.
uint64_t fingerprint(uint64_t hash, const convkit::data::ImageFolder& images,
                     const std::string& folder) {
  const auto add = [&](const std::string& text) {
    for (const char each : text + '\n')
      hash = (hash ^ static_cast<unsigned char>(each)) * 0x100000001b3;
  };
  for (const auto& sample : images.samples()) {
    std::string name = sample.path.substr(std::min(folder.size(), sample.path.size()));
    name.erase(0, name.find_first_not_of('/'));  // the folder may be given with a slash or without
    add(name);
    add(std::to_string(sample.target));
  }
  return hash;
}

/// What a process that was killed while it wrote has left.
void remove_partial_files(const std::string& folder) {
  std::error_code error;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(".convkit-") && name.ends_with(".partial")) found.push_back(entry.path());
  }
  for (const fs::path& path : found) fs::remove(path, error);
}

constexpr int64_t kMost = 1'000'000'000'000;  // epochs and steps of a file that is not damaged

}  // namespace

Training::Training(Flags flags) : flags_(std::move(flags)) {
  complete(flags_);
  if (flags_.threads != 0) at::set_num_threads(flags_.threads);
  if (std::getenv("WORLD_SIZE") != nullptr) group_ = convkit::parallel::init_process_group();
  make_loaders();
  nlohmann::ordered_json recipe = recipe_of(flags_);
  if (flags_.schedule != "cosine") recipe.erase("epochs");  // more of them are the same training
  recipe_ = recipe.dump();
  make_network();
}

void Training::make_loaders() {
  Images images = training_images(flags_);
  check_names(images.classes());
  uint64_t files = fingerprint(0xcbf29ce484222325, images, flags_.folder);
  if (group_) {
    sampler_ = std::make_shared<convkit::data::DistributedSampler>(
        images.size(),
        convkit::data::DistributedSamplerOptions{
            .num_replicas = group_->world_size(), .rank = group_->rank(), .seed = flags_.seed});
  }
  if (!flags_.val.empty()) {
    Images validation = validation_images(flags_);
    TORCH_CHECK_VALUE(validation.classes() == images.classes(), "--val: expected the classes of ",
                      cli::printable(flags_.folder), ", got other ones");
    files = fingerprint(files, validation, flags_.val);
    std::vector<int64_t> part = part_of(validation.size(), group_);
    validation_.emplace(Part(std::move(validation), std::move(part)),
                        convkit::data::DataLoader<Part>::Options{.batch_size = flags_.batch_size,
                                                                 .num_workers = flags_.workers});
  }
  files_ = static_cast<int64_t>(files);
  images_.emplace(std::move(images),
                  convkit::data::DataLoader<Images>::Options{.batch_size = flags_.batch_size,
                                                             .shuffle = !sampler_,
                                                             .sampler = sampler_,
                                                             .num_workers = flags_.workers});
}

void Training::make_network() {
  const auto presets = convkit::models::presets(flags_.model);
  TORCH_CHECK_VALUE(
      presets.empty() || presets.front().kind == convkit::models::Preset::Kind::kClassification,
      "--model: expected a network for classification, got ", flags_.model);
  at::manual_seed(static_cast<uint64_t>(flags_.seed + (group_ ? group_->rank() : 0)));
  network_ = Heads(convkit::models::create(
      flags_.model, {.num_classes = static_cast<int64_t>(images_->dataset().classes().size())}));
  load_weights();
  optimizer_ = make_optimizer(flags_, (*network_)->parameters());
  schedule_ = make_schedule(flags_, *optimizer_);
  if (group_) parallel_.emplace(*network_, *group_);
}

void Training::load_weights() {
  if (flags_.weights.empty()) return;
  const auto checkpoint = convkit::load_checkpoint(flags_.weights);
  try {
    const auto result =
        convkit::load_state_dict(**network_, checkpoint.state, {.skip_mismatched = true});
    TORCH_CHECK(result.skipped_keys.size() <= 2, "expected tensors of the network's shapes, got ",
                "others for ", result.skipped_keys.size(), ", among them ",
                result.skipped_keys.front());
  } catch (const c10::Error& error) {
    TORCH_CHECK(false, "--weights ", cli::printable(flags_.weights), ": ",
                error.what_without_backtrace());
  }
}

std::string Training::path(const char* name) const {
  return (fs::path(flags_.output) / name).string();
}

void Training::resume() {
  const std::string last = path("last.pt");
  if (fs::exists(last)) {
    TORCH_CHECK(flags_.resume, "--output: ", cli::printable(flags_.output),
                " has a training already: --resume goes on with it");
    if (is_first()) remove_partial_files(flags_.output);
    try {
      load(convkit::load_tree(last));
    } catch (const c10::ValueError& error) {
      TORCH_CHECK(false, cli::printable(last), ": ", error.what_without_backtrace());
    }
  } else if (is_first()) {
    std::error_code error;
    fs::create_directories(flags_.output, error);
    TORCH_CHECK(!error, "--output: cannot make ", cli::printable(flags_.output), ": ",
                error.message());
  }
  if (group_) group_->barrier();
}

void Training::load(const Tree& saved) {
  check_recipe(saved.at("recipe").text());
  const std::vector<Tree>& loaders = saved.at("loaders").items();
  const auto world = static_cast<std::size_t>(group_ ? group_->world_size() : 1);
  TORCH_CHECK_VALUE(loaders.size() == world, "expected a training by ", world,
                    " process(es), got one by ", loaders.size());
  const std::vector<std::string>& classes = images_->dataset().classes();
  const std::vector<Tree>& names = saved.at("classes").items();
  bool same = names.size() == classes.size();
  for (std::size_t i = 0; same && i < names.size(); ++i) same = names[i].text() == classes[i];
  TORCH_CHECK_VALUE(same && saved.at("images").integer() == images_->dataset().size(),
                    "expected a training with the images of ", cli::printable(flags_.folder),
                    ", got one with others");
  TORCH_CHECK_VALUE(saved.at("files").integer() == files_,
                    "expected a training with the images of ", cli::printable(flags_.folder),
                    ", got one with other names or classes of them");
  const int64_t epoch = saved.at("epoch").integer();
  const int64_t step = saved.at("step").integer();
  TORCH_CHECK_VALUE(epoch >= 0 && epoch <= kMost && step >= 0 && step <= kMost,
                    "expected an epoch and a step from 0 to ", kMost, ", got ", epoch, " and ",
                    step);
  convkit::load_state_dict(**network_, saved.at("model").state_dict());
  optimizer_->load_state_dict(saved.at("optimizer"));
  if (schedule_) schedule_->load_state_dict(saved.at("schedule"));
  const torch::Tensor& sums = saved.at("sums").tensor();
  TORCH_CHECK_VALUE(sums.sizes() == sums_.values.sizes(), "expected three sums");
  if (is_first()) sums_.values.copy_(sums);  // they are of all processes
  epoch_ = epoch;
  step_ = step;
  best_ = saved.at("best").number();
  images_->load_state_dict(loaders[group_ ? static_cast<std::size_t>(group_->rank()) : 0]);
}

void Training::check_recipe(const std::string& saved) const {
  if (saved == recipe_) return;
  const auto ours = nlohmann::json::parse(recipe_);
  const auto theirs = nlohmann::json::parse(saved, nullptr, /*allow_exceptions=*/false);
  TORCH_CHECK_VALUE(theirs.is_object(), "expected a recipe in JSON");
  const auto shown = [](const nlohmann::json& recipe, const std::string& name) {
    return recipe.contains(name) ? recipe[name].dump() : "none";
  };
  nlohmann::json names = ours;
  names.update(theirs);
  for (const auto& [name, value] : names.items()) {
    TORCH_CHECK_VALUE(shown(ours, name) == shown(theirs, name), "expected --", name, " ",
                      shown(theirs, name), ", as the training began, got ", shown(ours, name));
  }
}

void Training::save(const char* name) {
  Tree loader = images_->state_dict();
  std::vector<Tree> loaders = group_ ? gathered(loader, *group_) : std::vector<Tree>{loader};
  const Sums sums = of_all(sums_);
  if (is_first()) {
    Tree classes = Tree::list();
    for (const std::string& each : images_->dataset().classes()) classes.add(each);
    Tree all = Tree::dict();
    all.set("model", convkit::state_dict(**network_));
    all.set("optimizer", optimizer_->state_dict());
    all.set("schedule", schedule_ ? schedule_->state_dict() : Tree());
    all.set("epoch", epoch_);
    all.set("step", step_);
    all.set("best", best_);
    all.set("sums", sums.values);
    all.set("loaders", Tree::list(std::move(loaders)));
    all.set("classes", classes);
    all.set("images", images_->dataset().size());
    all.set("files", files_);
    all.set("recipe", recipe_);
    convkit::save_tree(path(name), all);
  }
  if (group_) group_->barrier();
}

}  // namespace train
