#include "compile/engines/tf32.h"

#include <ATen/Context.h>

#include <atomic>
#include <barrier>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace {

using at::Float32Backend;
using at::Float32Op;
using convkit::detail::Tf32Scope;

/// What LibTorch's kernels ask for; "?" where they would throw.
std::string tf32_setting() {
  const at::Context& context = at::globalContext();
  std::string text;
  for (const auto op : {Float32Op::CONV, Float32Op::RNN, Float32Op::MATMUL}) {
    text += at::precision2str(context.float32Precision(Float32Backend::CUDA, op)) + " ";
  }
  text += at::precision2str(context.float32Precision(Float32Backend::MKLDNN, Float32Op::MATMUL));
  const auto asked = [&](const auto& ask) {
    try {
      text += ask() ? " on" : " off";
    } catch (const c10::Error&) {
      text += " ?";
    }
  };
  asked([&] { return context.allowTF32CuDNN(); });
  asked([&] { return context.allowTF32CuBLAS(); });
  return text;
}

bool is_on() {
  return at::globalContext().allowTF32CuDNN() && at::globalContext().allowTF32CuBLAS();
}

bool is_off() {
  return !at::globalContext().allowTF32CuDNN() && !at::globalContext().allowTF32CuBLAS();
}

}  // namespace

TEST_CASE("the last scope puts TF32's setting back, whatever it was", "[compile]") {
  at::Context& context = at::globalContext();
  const auto check = [&] {
    const std::string before = tf32_setting();
    INFO(before);
    for (const bool on : {true, false}) {
      {
        const Tf32Scope scope(on);
        CHECK((on ? is_on() : is_off()));
        const Tf32Scope without(std::nullopt);
        const Tf32Scope same(on);
        const Tf32Scope other(!on);  // the outer one's value holds
        CHECK((on ? is_on() : is_off()));
      }
      CHECK(tf32_setting() == before);
    }
    {
      const Tf32Scope none(std::nullopt);
      CHECK(tf32_setting() == before);
    }
  };
  const auto products = context.float32MatmulPrecision();
  check();
  context.setAllowTF32CuDNN(false);
  check();
  context.setAllowTF32CuDNN(true);
  for (const char* precision : {"medium", "high", "highest"}) {
    context.setFloat32MatmulPrecision(precision);
    check();
  }
  // By one of the two names alone.
  context.setFloat32Precision(Float32Backend::CUDA, Float32Op::CONV, at::Float32Precision::IEEE);
  context.setFloat32Precision(Float32Backend::CUDA, Float32Op::MATMUL, at::Float32Precision::TF32);
  check();
  context.setFloat32Precision(Float32Backend::CUDA, Float32Op::MATMUL, at::Float32Precision::NONE);
  context.setAllowTF32CuDNN(true);
  REQUIRE(context.float32MatmulPrecision() == products);
}

TEST_CASE("scopes of one value run side by side, and another value waits", "[compile][threads]") {
  const std::string before = tf32_setting();
  std::barrier both(2);
  std::atomic<bool> first_ended = false;
  std::atomic<bool> still_on = false;
  std::thread first([&] {
    const Tf32Scope scope(true);
    both.arrive_and_wait();  // the main thread is in its scope of the same value, too
    both.arrive_and_wait();  // it has left it
    still_on = is_on();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    first_ended = true;
  });
  {
    const Tf32Scope scope(true);
    both.arrive_and_wait();
    CHECK(is_on());
  }
  both.arrive_and_wait();
  {
    const Tf32Scope scope(false);
    CHECK(first_ended);
    CHECK(is_off());
  }
  first.join();
  CHECK(still_on);
  CHECK(tf32_setting() == before);
}

TEST_CASE("many threads leave TF32's setting as it was", "[compile][threads]") {
  const std::string before = tf32_setting();
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const Tf32Scope scope((t + i) % 3 == 0);
        const Tf32Scope inner(t % 2 == 0);
        right += ((t + i) % 3 == 0 ? is_on() : is_off()) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 8 * 50);
  CHECK(tf32_setting() == before);
}
