#include <convkit/checkpoint.h>
#include <convkit/image.h>

#include "image/images.h"
#include "support.h"

#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <catch2/catch_test_macros.hpp>

#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>

using convkit::decode_image;
using convkit::read_image;
using convkit::write_image;
using images::differing;
using support::error;
using torch::Tensor;

namespace {

std::filesystem::path folder() {
  return parity::folder() / "image_files";
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

/// Files that Pillow reads and convkit refuses, or the other way round.
const std::map<std::string, std::string> kOtherVerdicts{
    {"png_header_compression.png", "Pillow does not look at the method of compression"},
    {"png_header_larger.png", "Pillow has black rows where the pixels end before a row"},
    {"png_cut_before_end.png", "Pillow does not miss what comes after the pixels"},
    {"png_no_adler.png", "Pillow does not miss the stream's end"},
    {"png_no_palette.png", "Pillow takes shades of grey"},
    {"png_text_bomb.png", "Pillow reads texts, and has a limit for them"},
    {"png_unknown_critical.png", "Pillow goes on after a chunk that a reader has to know"},
};

std::optional<Tensor> read(const std::string& name, const std::string& mode, std::string& why) {
  const bool upright = mode.ends_with("+exif");
  const std::string kind = upright ? mode.substr(0, mode.size() - 5) : mode;
  try {
    return read_image((folder() / "files" / name).string(),
                      {.mode = kind, .exif_orientation = upright});
  } catch (const c10::Error& refused) {
    why = refused.what_without_backtrace();
    return std::nullopt;
  }
}

}  // namespace

TEST_CASE("images have Pillow's pixels, and are refused where Pillow refuses them", "[image]") {
  const auto expected = convkit::load_checkpoint(folder() / "images.safetensors").state;
  const auto refused = nlohmann::json::parse(bytes_of(folder() / "refused.json"));
  int64_t files = 0;
  int64_t unlike = 0;
  std::set<std::string> other;
  const auto check = [&](const std::string& key, const Tensor& pixels) {
    const auto bar = key.find('|');
    const std::string name = key.substr(0, bar);
    std::string why;
    const auto found = read(name, key.substr(bar + 1), why);
    INFO(key << ": " << why);
    if (found.has_value() != pixels.defined() && kOtherVerdicts.contains(name)) {
      other.insert(name);
      return;
    }
    CHECK(found.has_value() == pixels.defined());
    if (!found || !pixels.defined()) return;
    CHECK(differing(*found, pixels) == 0);
    ++files;
    if (pixels.min().item<double>() < pixels.max().item<double>()) ++unlike;
  };
  for (const auto& entry : expected) check(entry.key(), entry.value());
  for (const auto& [key, reason] : refused.items()) check(key, {});
  CHECK(files > 1000);
  CHECK(unlike > 900);
  CHECK(other.size() == kOtherVerdicts.size());
}

TEST_CASE("images are written as Pillow writes them, and read again", "[image]") {
  const auto expected = convkit::load_checkpoint(folder() / "written.safetensors").state;
  int64_t jpegs = 0;
  for (const auto& entry : expected) {
    const std::string& key = entry.key();  // "3|75.pixels": channels, quality
    if (!key.ends_with(".pixels")) continue;
    INFO(key);
    const Tensor image = entry.value();
    const std::string of = key.substr(0, key.size() - 7);
    if (expected.contains(of + ".jpeg")) {
      const Tensor pillow = expected[of + ".jpeg"];
      const std::string jpeg =
          convkit::encode_image(image, "jpeg", {.quality = std::stoi(of.substr(2))});
      CHECK(jpeg == std::string(reinterpret_cast<const char*>(pillow.const_data_ptr<uint8_t>()),
                                static_cast<std::size_t>(pillow.numel())));
      ++jpegs;
      CHECK(torch::equal(decode_image(convkit::encode_image(image, "ppm"), {.mode = ""}), image));
    }
    const std::string png = convkit::encode_image(image, "png");
    CHECK(torch::equal(decode_image(png, {.mode = ""}), image));
    // Its strides do not matter.
    const Tensor turned = image.transpose(1, 2);
    CHECK(torch::equal(decode_image(convkit::encode_image(turned, "png"), {.mode = ""}), turned));
  }
  CHECK(jpegs > 10);
}

TEST_CASE("write_image writes a whole file or none", "[image]") {
  const auto place = std::filesystem::temp_directory_path() / "convkit_image_test";
  std::filesystem::create_directories(place);
  const Tensor image = torch::arange(3 * 5 * 7, torch::kByte).view({3, 5, 7});
  for (const std::string name : {"a.png", "b.PPM"}) {
    write_image(image, (place / name).string());
    CHECK(torch::equal(read_image((place / name).string()), image));
  }
  write_image(image, (place / "c.jpeg").string(), {.quality = 100});
  CHECK((read_image((place / "c.jpeg").string()).to(torch::kInt) - image.to(torch::kInt))
            .abs()
            .max()
            .item<int>() < 40);
  CHECK(error([&] { write_image(image.to(torch::kMeta), (place / "a.png").string()); }) ==
        "write_image: expected an image with data, got one on meta");
  CHECK(error([&] { write_image(image[0], (place / "a.png").string()); }) ==
        "write_image: expected an image [C, H, W] of 1, 2, 3 or 4 channels for png, got [5, 7]");
  CHECK(torch::equal(read_image((place / "a.png").string()), image));
  CHECK(error([&] { write_image(image, (place / "a.gif").string()); }) ==
        "write_image: expected a name that ends in .jpg, .jpeg, .png, .ppm or .pgm, got " +
            (place / "a.gif").string());
  CHECK(error([&] {
          write_image(image, (place / "none" / "a.png").string());
        }).starts_with("write_image: cannot write "));
  CHECK(std::distance(std::filesystem::directory_iterator(place), {}) == 3);
  std::filesystem::remove_all(place);
}

TEST_CASE("what a header promises takes no memory", "[image][errors]") {
  const auto most_megabytes = [] {
    rusage usage = {};
    REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0);
    return usage.ru_maxrss / 1024;
  };
  const auto before = most_megabytes();
  for (const auto& file : std::filesystem::directory_iterator(folder() / "files")) {
    if (file.path().string().find("_huge") == std::string::npos &&
        file.path().string().find("_header_") == std::string::npos) {
      continue;
    }
    error([&] { read_image(file.path().string()); });
  }
  CHECK(most_megabytes() - before < 64);
}

TEST_CASE("what is no image is refused in a sentence", "[image][errors]") {
  const auto file = [](const char* name) { return (folder() / "files" / name).string(); };
  const auto refused = [&](const char* name, const convkit::ReadImageOptions& options = {}) {
    const std::string text = error([&] { read_image(file(name), options); });
    const std::string begin = "read_image: " + file(name) + ": ";
    return text.starts_with(begin) ? text.substr(begin.size()) : text;
  };
  CHECK(refused("empty") == "an empty file");
  CHECK(refused("text.txt") == "not an image of JPEG, PNG, PPM, PGM or PBM");
  CHECK(refused("jpeg_cut_8.jpg") == "a damaged JPEG: it is cut short");
  CHECK(refused("jpeg_12_bits.jpg") == "a damaged JPEG: Unsupported JPEG data precision 12");
  CHECK(refused("jpeg_huge.jpg") ==
        "expected at most 178956970 pixels, got 60000 x 60000; set max_pixels");
  CHECK(refused("png_cut_8.png") == "a damaged PNG: it is cut short");
  CHECK(refused("png_header_huge.png") ==
        "expected at most 178956970 pixels, got 60000 x 60000; set max_pixels");
  CHECK(refused("png_header_widest.png") ==
        "expected at most 178956970 pixels, got 2147483647 x 1; set max_pixels");
  CHECK(refused("png_wrong_sum_of_header.png") == "a damaged PNG: a checksum is wrong");
  CHECK(refused("png_bad_filter.png") == "a damaged PNG: bad adaptive filter value");
  CHECK(refused("ppm_p5_cut.ppm") == "a damaged PPM: it is cut short");
  CHECK(refused("ppm_p2_above.ppm") == "a damaged PPM: a pixel above 7");
  CHECK(refused("ppm_p7.ppm") == "not an image of JPEG, PNG, PPM, PGM or PBM");
  CHECK(refused("jpeg_444.jpg", {.max_pixels = 1960}) ==
        "expected at most 1960 pixels, got 53 x 37; set max_pixels");
  CHECK(refused("jpeg_444.jpg", {.mode = "P"}) ==
        "an image of mode RGB, which has no palette for mode P");
  CHECK(refused("jpeg_444.jpg", {.mode = "HSV"}) ==
        "read_image: expected a mode of L, LA, RGB, RGBA, CMYK, P, I and I;16, got HSV");
  CHECK(refused("jpeg_444.jpg", {.max_pixels = 0}) ==
        "read_image: expected max_pixels >= 1, got 0");
  CHECK(error([&] { read_image(""); }) == "read_image: expected the name of a file, got \"\"");
  CHECK(error([&] { read_image(folder().string()); }) ==
        "read_image: expected a file, but " + folder().string() + " is a folder");
  CHECK(error([&] { read_image(file("missing.png")); }) ==
        "read_image: cannot open " + file("missing.png") + ": No such file or directory");
  CHECK(error([&] { decode_image("P5 1"); }) == "decode_image: a damaged PPM: it is cut short");

  const Tensor image = torch::zeros({3, 2, 2}, torch::kByte);
  const auto unwritten = [&](const Tensor& x, const std::string& format, int quality = 75) {
    return error([&] { convkit::encode_image(x, format, {.quality = quality}); });
  };
  CHECK(unwritten({}, "png") == "encode_image: expected an image, got an undefined tensor");
  CHECK(unwritten(image.to(torch::kFloat), "png") ==
        "encode_image: expected an image of type Byte, got Float");
  CHECK(unwritten(image, "gif") == "encode_image: expected a format of jpeg, png and ppm, got gif");
  CHECK(unwritten(torch::zeros({4, 2, 2}, torch::kByte), "jpeg") ==
        "encode_image: expected an image [C, H, W] of 1 or 3 channels for jpeg, got [4, 2, 2]");
  CHECK(unwritten(torch::zeros({1, 1, 65501}, torch::kByte), "jpeg") ==
        "encode_image: expected sides of at most 65500 for jpeg, got [1, 1, 65501]");
  CHECK(unwritten(image, "jpeg", 101) == "encode_image: expected quality from 0 to 100, got 101");
}
