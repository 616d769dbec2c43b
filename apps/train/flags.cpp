#include "flags.h"

#include <c10/util/Exception.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <type_traits>

namespace train {
namespace {

/// Calls `each` with the name, the value and the help of all flags that decide on the weights.
template <typename F, typename Each>
void recipe(F& flags, const Each& each) {
  each("model", flags.model, "A name that `convkit models` lists");
  each("epochs", flags.epochs, "How often every image is seen");
  each("batch-size", flags.batch_size, "Images of a step, in each process");
  each("workers", flags.workers, "Threads that load images");
  each("seed", flags.seed, "Of all random numbers");
  each("weights", flags.weights, "Begin with this checkpoint; a head of other sizes begins anew");
  each("optimizer", flags.optimizer, "The optimizer");
  each("lr", flags.lr, "The learning rate; 0.1 for sgd, else Python's default");
  each("momentum", flags.momentum, "Of sgd, whose default is 0.9, and of rmsprop");
  each("weight-decay", flags.weight_decay, "1e-4 for sgd, else Python's default");
  each("nesterov", flags.nesterov, "Nesterov's momentum, of sgd");
  each("label-smoothing", flags.label_smoothing, "From 0 to 1");
  each("clip-grad-norm", flags.clip_grad_norm, "Cut gradients of a larger norm; 0 cuts none");
  each("schedule", flags.schedule, "How the learning rate goes on, epoch by epoch");
  each("lr-min", flags.lr_min, "Where cosine ends; 0");
  each("lr-step-size", flags.lr_step_size, "Epochs between the steps of step; 30");
  each("lr-gamma", flags.lr_gamma, "The factor of step and exponential; 0.1");
  each("lr-warmup-epochs", flags.lr_warmup_epochs, "Epochs in which the learning rate grows");
  each("lr-warmup-decay", flags.lr_warmup_decay, "The factor with which it begins to grow; 0.01");
  each("augment", flags.augment,
       "crop: a random resized crop and a flip for training, a resize and the middle for "
       "validation. none: a resize to the crop's size for both");
  each("train-crop-size", flags.train_crop_size, "Pixels of a side");
  each("val-resize-size", flags.val_resize_size, "Pixels of the shorter side; 256");
  each("val-crop-size", flags.val_crop_size, "Pixels of a side; 224");
  each("hflip-prob", flags.hflip_prob, "The probability of a flip; 0.5");
  each("interpolation", flags.interpolation, "Of all resizes");
  each("mean", flags.mean, "What is subtracted from the channels");
  each("std", flags.std, "What the channels are divided by, then");
}

template <typename T>
constexpr bool kIsOptional = false;
template <typename T>
constexpr bool kIsOptional<std::optional<T>> = true;

/// Flags in a file of JSON.
class JsonConfig : public CLI::Config {
 public:
  std::string to_config(const CLI::App* /*app*/, bool /*defaults*/, bool /*describe*/,
                        std::string /*prefix*/) const override {
    return "";
  }

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    const auto json = nlohmann::json::parse(input, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) throw CLI::FileError("--config: expected a file with an object of JSON");
    std::vector<CLI::ConfigItem> items;
    for (const auto& [name, value] : json.items()) {
      CLI::ConfigItem item;
      item.name = name;
      for (const auto& part : value.is_array() ? value : nlohmann::json::array({value})) {
        if (part.is_structured() || part.is_null()) {
          throw CLI::ConversionError("--config: expected a text, number or bool for " + name);
        }
        item.inputs.push_back(part.is_string() ? part.get<std::string>() : part.dump());
      }
      items.push_back(std::move(item));
    }
    return items;
  }
};

void add_checks(CLI::App& app) {
  const auto is = [&](const char* name, const CLI::Validator& validator) {
    app.get_option(name)->check(validator);
  };
  app.get_option("--model")->required();
  for (const char* name : {"--epochs", "--batch-size", "--lr-step-size", "--train-crop-size",
                           "--val-resize-size", "--val-crop-size", "--checkpoint-every"}) {
    is(name, CLI::Range(int64_t{1}, int64_t{1'000'000'000}));
  }
  // CLI11's bounds let NaN through.
  const CLI::Validator finite(
      [](const std::string& text) {
        char* end = nullptr;
        return std::isfinite(std::strtod(text.c_str(), &end))
                   ? ""
                   : "expected a finite number, got " + text;
      },
      "");
  for (const char* name :
       {"--lr", "--momentum", "--weight-decay", "--clip-grad-norm", "--lr-min", "--lr-gamma",
        "--lr-warmup-decay", "--label-smoothing", "--hflip-prob", "--mean", "--std"}) {
    is(name, finite);
  }
  is("--seed", CLI::Range(int64_t{0},
                          int64_t{1} << 62));  // what is above an int64 arrives as the largest one
  is("--threads", CLI::Range(1, 1024));
  is("--workers", CLI::Range(int64_t{0}, int64_t{1024}));
  for (const char* name : {"--lr-gamma", "--lr-warmup-decay", "--std"}) {
    is(name, CLI::PositiveNumber);
  }
  for (const char* name : {"--lr", "--momentum", "--weight-decay", "--clip-grad-norm", "--lr-min",
                           "--lr-warmup-epochs"}) {
    is(name, CLI::NonNegativeNumber);
  }
  for (const char* name : {"--label-smoothing", "--hflip-prob"}) is(name, CLI::Range(0.0, 1.0));
  is("--optimizer",
     CLI::IsMember({"sgd", "adam", "adamw", "rmsprop", "adagrad", "nadam", "radam"}));
  is("--schedule", CLI::IsMember({"none", "cosine", "step", "exponential"}));
  is("--augment", CLI::IsMember({"crop", "none"}));
  is("--interpolation", CLI::IsMember({"nearest", "bilinear", "bicubic"}));
  for (const char* name : {"--mean", "--std"}) app.get_option(name)->expected(3);
}

}  // namespace

void add_flags(CLI::App& app, Flags& flags) {
  app.add_option("FOLDER", flags.folder,
                 "A folder of images for each class; or folders train and val of such")
      ->required();
  app.add_option("--val", flags.val, "Folders of the same classes, for validation");
  app.add_option("--output", flags.output, "The folder for last.pt and best.pt")->required();
  app.add_flag("--resume", flags.resume, "Go on with last.pt, where there is one");
  app.add_option("--checkpoint-every", flags.checkpoint_every,
                 "Write last.pt after so many steps too, not after epochs alone");
  app.add_flag("--json", flags.json, "Print lines of JSON");
  app.add_flag("--log-steps", flags.log_steps, "Print a line for each step too");
  app.add_option("--threads", flags.threads, "Compute on so many threads, not on all processors");
  recipe(flags, [&](const char* name, auto& value, const char* help) {
    using Value = std::remove_reference_t<decltype(value)>;
    const std::string option = std::string("--") + name;
    if constexpr (std::is_same_v<Value, bool>) {
      app.add_flag(option, value, help);
    } else if constexpr (kIsOptional<Value>) {
      app.add_option(option, value, help);
    } else {
      app.add_option(option, value, help)->capture_default_str();
    }
  });
  add_checks(app);
  app.set_config("--config", "", "Take flags from a file of JSON; those given here win");
  app.config_formatter(std::make_shared<JsonConfig>());
  app.allow_config_extras(CLI::config_extras_mode::error);
}

void complete(Flags& flags) {
  const auto only = [](const char* name, bool given, bool allowed, const std::string& other) {
    TORCH_CHECK_VALUE(!given || allowed, name, ": there is none with ", other);
  };
  const std::string optimizer = "--optimizer " + flags.optimizer;
  only("--momentum", flags.momentum.has_value(),
       flags.optimizer == "sgd" || flags.optimizer == "rmsprop", optimizer);
  only("--nesterov", flags.nesterov, flags.optimizer == "sgd", optimizer);
  const std::string schedule = "--schedule " + flags.schedule;
  only("--lr-min", flags.lr_min.has_value(), flags.schedule == "cosine", schedule);
  only("--lr-step-size", flags.lr_step_size.has_value(), flags.schedule == "step", schedule);
  only("--lr-gamma", flags.lr_gamma.has_value(),
       flags.schedule == "step" || flags.schedule == "exponential", schedule);
  only("--lr-warmup-decay", flags.lr_warmup_decay.has_value(), flags.lr_warmup_epochs > 0,
       "--lr-warmup-epochs 0");
  TORCH_CHECK_VALUE(flags.schedule != "cosine" || flags.lr_warmup_epochs < flags.epochs,
                    "--lr-warmup-epochs: expected less than --epochs ", flags.epochs, ", got ",
                    flags.lr_warmup_epochs);
  const bool crop = flags.augment == "crop";
  only("--hflip-prob", flags.hflip_prob.has_value(), crop, "--augment none");
  only("--val-resize-size", flags.val_resize_size.has_value(), crop, "--augment none");
  only("--val-crop-size", flags.val_crop_size.has_value(), crop, "--augment none");

  namespace fs = std::filesystem;
  const fs::path folder(flags.folder);
  if (fs::is_directory(folder / "train") && fs::is_directory(folder / "val")) {
    flags.folder = (folder / "train").string();
    if (flags.val.empty()) flags.val = (folder / "val").string();
  }
  const std::string none = "no --val";
  only("--val-resize-size", flags.val_resize_size.has_value(), !flags.val.empty(), none);
  only("--val-crop-size", flags.val_crop_size.has_value(), !flags.val.empty(), none);
}

nlohmann::ordered_json recipe_of(const Flags& flags) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  recipe(flags, [&](const char* name, const auto& value, const char* /*help*/) {
    if constexpr (kIsOptional<std::remove_cvref_t<decltype(value)>>) {
      if (value) json[name] = *value;
    } else if (json[name] = value; json[name] == "") {  // a text that was not given
      json.erase(name);
    }
  });
  return json;
}

}  // namespace train
