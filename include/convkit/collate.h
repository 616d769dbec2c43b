#pragma once

#include <convkit/module.h>

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <torch/types.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

/// One batch of several examples.
namespace convkit::data {

namespace detail {

CONVKIT_API torch::Tensor stacked(const std::vector<torch::Tensor>& tensors);

/// What default_collate() makes of examples of one type.
template <typename T>
struct Collate;

}  // namespace detail

/// A batch of examples: tensors are stacked; whole numbers become a tensor of int64, other numbers one
/// of float64, and bools one of bool; texts stay as they are. A pair, tuple, array, vector or map of
/// such becomes one of their batches.
///
/// Throws:  c10::Error for tensors of several shapes, and vectors of several sizes
/// Source:  torch.utils.data.default_collate, which makes lists of tuples
template <typename T>
auto default_collate(const std::vector<T>& examples) -> decltype(detail::Collate<T>::of(examples)) {
  return detail::Collate<T>::of(examples);
}

/// What default_collate() makes of such examples.
template <typename T>
using Collated = decltype(default_collate(std::declval<const std::vector<T>&>()));

namespace detail {

template <>
struct Collate<torch::Tensor> {
  static torch::Tensor of(const std::vector<torch::Tensor>& examples) { return stacked(examples); }
};

template <typename T>
  requires std::is_arithmetic_v<T>
struct Collate<T> {
  static torch::Tensor of(const std::vector<T>& examples) {
    using Value = std::conditional_t<std::same_as<T, bool>, bool,
                                     std::conditional_t<std::integral<T>, int64_t, double>>;
    torch::Tensor batch =
        at::empty({static_cast<int64_t>(examples.size())}, c10::CppTypeToScalarType<Value>::value);
    Value* data = batch.mutable_data_ptr<Value>();
    for (const T example : examples) *data++ = static_cast<Value>(example);
    return batch;
  }
};

template <>
struct Collate<std::string> {
  static std::vector<std::string> of(const std::vector<std::string>& examples) { return examples; }
};

/// The batch of one part of every example.
template <typename T, typename F>
auto part(const std::vector<T>& examples, F of) {
  std::vector<std::decay_t<decltype(of(examples.front()))>> parts;
  for (const T& example : examples) parts.push_back(of(example));
  return default_collate(parts);
}

template <typename A, typename B>
struct Collate<std::pair<A, B>> {
  static std::pair<Collated<A>, Collated<B>> of(const std::vector<std::pair<A, B>>& examples) {
    return {part(examples, [](const auto& pair) { return pair.first; }),
            part(examples, [](const auto& pair) { return pair.second; })};
  }
};

template <typename... T>
struct Collate<std::tuple<T...>> {
  static std::tuple<Collated<T>...> of(const std::vector<std::tuple<T...>>& examples) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return std::tuple<Collated<T>...>{
          part(examples, [](const auto& tuple) { return std::get<I>(tuple); })...};
    }(std::index_sequence_for<T...>());
  }
};

template <typename T, std::size_t N>
struct Collate<std::array<T, N>> {
  static std::array<Collated<T>, N> of(const std::vector<std::array<T, N>>& examples) {
    std::array<Collated<T>, N> batch;
    for (std::size_t i = 0; i < N; ++i) {
      batch[i] = part(examples, [i](const auto& array) { return array[i]; });
    }
    return batch;
  }
};

template <typename T>
struct Collate<std::vector<T>> {
  static std::vector<Collated<T>> of(const std::vector<std::vector<T>>& examples) {
    const std::size_t size = examples.front().size();
    for (const std::vector<T>& example : examples) {
      TORCH_CHECK(example.size() == size, "default_collate: expected vectors of ", size,
                  " items, as the first one has, got ", example.size());
    }
    std::vector<Collated<T>> batch;
    for (std::size_t i = 0; i < size; ++i) {
      batch.push_back(part(examples, [i](const auto& vector) { return T(vector[i]); }));
    }
    return batch;
  }
};

template <typename Key, typename T>
struct Collate<std::map<Key, T>> {
  static std::map<Key, Collated<T>> of(const std::vector<std::map<Key, T>>& examples) {
    std::map<Key, Collated<T>> batch;
    for (const auto& [key, value] : examples.front()) {
      batch.emplace(key, part(examples, [&](const auto& map) { return map.at(key); }));
    }
    return batch;
  }
};

}  // namespace detail

}  // namespace convkit::data
