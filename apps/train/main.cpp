// train FOLDER: trains a network on a folder of images.
#include "training.h"

int main(int argc, char** argv) {
  CLI::App app(
      "Trains a network on a folder of images, with the bits of Python's own loop.\nExit code: 0; "
      "2 "
      "for a wrong command line, or a file that cannot be read or written.",
      "train");
  app.footer(
      "Example: train flowers --model resnet18 --epochs 5 --output run\n"
      "Several processes: torchrun --no-python --nproc-per-node 2 train flowers ...");
  train::Flags flags;
  train::add_flags(app, flags);
  return cli::run(app, argc, argv, [&] {
    train::Training(flags).run();
    return 0;
  });
}
