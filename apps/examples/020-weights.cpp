// Weights come from Python and go back, as files.
#include <convkit/convkit.h>

#include <c10/util/Exception.h>

#include <iostream>

int main() {
  torch::manual_seed(0);
  auto net = convkit::ConvBlock(3, 64);

  // A training script of Python leaves its weights beside other things, under the names of DataParallel.
  convkit::Tree model = convkit::Tree::dict();
  for (const auto& entry : convkit::state_dict(*net)) {
    model.set("module." + entry.key(), entry.value());
  }
  convkit::Tree averages = convkit::Tree::dict();
  averages.set("model", model);
  convkit::Tree training = convkit::Tree::dict();
  training.set("ema", averages);
  training.set("epoch", 90);
  convkit::save_tree("training.pt", training);

  auto ema = convkit::load_checkpoint("training.pt", {.at = "ema.model"});
  convkit::load_state_dict(*net, ema.state, {.prefix = "module."});
  std::cout << "loaded " << ema.state.size() << " tensors\n";

  try {  // Nothing is copied where one tensor does not fit.
    convkit::load_state_dict(*convkit::ConvBlock(3, 32), ema.state, {.prefix = "module."});
  } catch (const c10::Error& error) {
    std::cout << error.what_without_backtrace() << '\n';
  }

  convkit::save_checkpoint("to_python.safetensors", convkit::state_dict(*net));
}
