#include "files/inflate.h"

#include <array>
#include <cstdint>
#include <vector>

namespace convkit::detail {
namespace {

/// A canonical Huffman code: how many codes each length has, and the symbols in the codes' order.
class HuffmanCode {
 public:
  static constexpr unsigned kLongest = 15;

  explicit HuffmanCode(const std::vector<uint8_t>& lengths) {
    for (const uint8_t length : lengths) ++counts_.at(length);
    counts_[0] = 0;
    std::array<std::size_t, kLongest + 1> next{};
    for (unsigned length = 1; length < kLongest; ++length) {
      next.at(length + 1) = next.at(length) + counts_.at(length);
    }
    symbols_.resize(lengths.size());
    for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol) {
      if (lengths[symbol] != 0) {
        symbols_[next.at(lengths[symbol])++] = static_cast<uint16_t>(symbol);
      }
    }
  }

  /// Whether no code is the beginning of two.
  bool sound() const {
    int left = 1;
    for (unsigned length = 1; length <= kLongest; ++length) {
      left = 2 * left - counts_.at(length);
      if (left < 0) return false;
    }
    return true;
  }

  /// The symbol whose code `next_bit` gives, highest bit first; nothing for bits that are no code.
  template <typename NextBit>
  std::optional<unsigned> symbol(const NextBit& next_bit) const {
    int code = 0;
    int first = 0;  // the first code of this length
    int index = 0;  // and its place among the symbols
    for (unsigned length = 1; length <= kLongest; ++length) {
      code |= static_cast<int>(next_bit());
      const int count = counts_.at(length);
      if (code - first < count) return symbols_[static_cast<std::size_t>(index + code - first)];
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    return std::nullopt;
  }

 private:
  std::array<uint16_t, kLongest + 1> counts_{};
  std::vector<uint16_t> symbols_;
};

class Inflater {
 public:
  Inflater(std::string_view bytes, std::size_t most) : bytes_(bytes), most_(most) {}

  std::optional<std::string> run() {
    for (bool last = false; !last;) {
      last = bits(1) != 0;
      const unsigned kind = bits(2);
      const bool sound = kind == 0 ? stored() : kind == 1 ? fixed() : kind == 2 && dynamic();
      if (!sound || beyond_ || out_.size() > most_) return std::nullopt;
    }
    return std::move(out_);
  }

 private:
  /// The next bits, lowest first; zeros beyond the end, which run() then refuses.
  unsigned bits(unsigned count) {
    unsigned value = 0;
    for (unsigned i = 0; i < count; ++i) {
      if (at_ / 8 >= bytes_.size()) {
        beyond_ = true;
        return 0;
      }
      value |= (static_cast<unsigned char>(bytes_[at_ / 8]) >> at_ % 8 & 1U) << i;
      ++at_;
    }
    return value;
  }

  bool stored() {
    at_ = (at_ + 7) / 8 * 8;
    const unsigned size = bits(16);
    if ((bits(16) ^ size) != 0xffff || at_ / 8 + size > bytes_.size()) return false;
    out_ += bytes_.substr(at_ / 8, size);
    at_ += std::size_t{size} * 8;
    return true;
  }

  bool fixed() {
    std::vector<uint8_t> lengths(288, 8);
    for (std::size_t i = 144; i < 280; ++i) lengths[i] = i < 256 ? 9 : 7;
    return compressed(HuffmanCode(lengths), HuffmanCode(std::vector<uint8_t>(30, 5)));
  }

  bool dynamic() {
    const std::size_t literals = bits(5) + 257;
    const std::size_t distances = bits(5) + 1;
    const std::size_t given = bits(4) + 4;
    constexpr std::array<uint8_t, 19> kOrder = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                11, 4,  12, 3, 13, 2, 14, 1, 15};
    std::vector<uint8_t> of_lengths(kOrder.size());
    for (std::size_t i = 0; i < given; ++i) {
      of_lengths[kOrder.at(i)] = static_cast<uint8_t>(bits(3));
    }
    const HuffmanCode code(of_lengths);
    if (!code.sound()) return false;
    std::vector<uint8_t> lengths;
    while (lengths.size() < literals + distances) {
      const auto symbol = next(code);
      if (!symbol || beyond_) return false;
      if (*symbol < 16) {
        lengths.push_back(static_cast<uint8_t>(*symbol));
        continue;
      }
      if (*symbol == 16 && lengths.empty()) return false;
      const uint8_t value = *symbol == 16 ? lengths.back() : 0;
      const std::size_t count = *symbol == 16   ? 3 + bits(2)
                                : *symbol == 17 ? 3 + bits(3)
                                                : 11 + bits(7);
      lengths.insert(lengths.end(), count, value);
    }
    if (lengths.size() != literals + distances) return false;
    const auto middle = lengths.begin() + static_cast<std::ptrdiff_t>(literals);
    const HuffmanCode of_literals({lengths.begin(), middle});
    const HuffmanCode of_distances({middle, lengths.end()});
    return of_literals.sound() && of_distances.sound() && compressed(of_literals, of_distances);
  }

  bool compressed(const HuffmanCode& literals, const HuffmanCode& distances) {
    constexpr unsigned kEnd = 256;
    for (;;) {
      const auto symbol = next(literals);
      if (!symbol || beyond_ || out_.size() > most_) return false;
      if (*symbol == kEnd) return true;
      if (*symbol < kEnd) {
        out_ += static_cast<char>(*symbol);
        continue;
      }
      if (*symbol > 285) return false;
      const std::size_t length = length_of(*symbol - 257);
      const auto distance_symbol = next(distances);
      if (!distance_symbol || *distance_symbol > 29) return false;
      const std::size_t distance = distance_of(*distance_symbol);
      if (distance > out_.size()) return false;
      for (std::size_t i = 0; i < length; ++i) out_ += out_[out_.size() - distance];
    }
  }

  // Groups of four lengths, and of two distances, have one bit more each than the group before.
  std::size_t length_of(unsigned symbol) {
    if (symbol < 8) return 3 + symbol;
    if (symbol == 28) return 258;
    const unsigned more = symbol / 4 - 1;
    return 3 + ((4 + symbol % 4) << more) + bits(more);
  }
  std::size_t distance_of(unsigned symbol) {
    if (symbol < 4) return 1 + symbol;
    const unsigned more = symbol / 2 - 1;
    return 1 + ((2 + symbol % 2) << more) + bits(more);
  }

  std::optional<unsigned> next(const HuffmanCode& code) {
    return code.symbol([this] { return bits(1); });
  }

  const std::string_view bytes_;
  const std::size_t most_;
  std::size_t at_ = 0;  // in bits
  bool beyond_ = false;
  std::string out_;
};

}  // namespace

std::optional<std::string> inflate(std::string_view bytes, std::size_t most) {
  return Inflater(bytes, most).run();
}

}  // namespace convkit::detail
