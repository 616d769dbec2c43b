// Several threads of a server call one compiled network. Each call has memory of its own, and they share the weights.
#include <convkit/convkit.h>

#include <iostream>
#include <thread>

int main() {
  torch::manual_seed(0);
  auto net = convkit::models::create("squeezenet1_1");
  net->eval();
  const torch::Tensor images = torch::randn({8, 3, 64, 64});

  // Each request by one thread, so that requests do not wait for each other. Said once, before anything is planned.
  torch::set_num_threads(1);
  // While a size is planned, all calls wait: a server calls all its sizes before it opens.
  auto fast = convkit::compile(net, images.slice(0, 0, 1));

  std::vector<torch::Tensor> answers(8);
  std::vector<std::thread> threads;
  for (int64_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int64_t i = thread; i < 8; i += 4) answers[i] = fast(images.slice(0, i, i + 1));
    });
  }
  for (std::thread& thread : threads) thread.join();

  bool equal = true;
  for (int64_t i = 0; i < 8; ++i)
    equal = equal && torch::equal(answers[i], fast(images.slice(0, i, i + 1)));
  std::cout << "answers of four threads equal those of one: " << (equal ? "yes" : "no") << '\n';
}
