#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

// convkit/module.h defines it too, but includes LibTorch, which costs an app 10 s to compile.
#ifndef CONVKIT_API
#define CONVKIT_API __attribute__((visibility("default")))
#endif

/// Files that are read as they lie on the disk, and written whole or not at all.
namespace convkit::detail {

/// Takes the bytes of a new file, one piece after another.
using TakeBytes = std::function<void(std::string_view)>;

/// A file's bytes, mapped. They can be written to, which changes neither the file nor another map.
class MappedFile {
 public:
  /// Throws c10::Error, whose text begins with the `caller`, where there is no such file, or it is not
  /// a regular one.
  static std::shared_ptr<const MappedFile> open(const std::string& path,
                                                const std::string& caller = "load_checkpoint: ");

  /// Takes a copy of bytes, aligned as LibTorch's tensors are. `name` stands for the path.
  static std::shared_ptr<const MappedFile> copy(const std::string& name, std::string_view bytes);

  /// Takes bytes at `data` that `release` frees.
  MappedFile(std::string path, char* data, uint64_t size, std::function<void()> release)
      : path_(std::move(path)), data_(data), size_(size), release_(std::move(release)) {}
  ~MappedFile() { release_(); }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }  // as an error may show it
  char* data() const { return data_; }
  uint64_t size() const { return size_; }
  std::string_view bytes() const { return {data_, static_cast<std::size_t>(size_)}; }

 private:
  std::string path_;
  char* data_;
  uint64_t size_;
  std::function<void()> release_;
};

/// A new file beside `path`, which takes its place at commit(), and vanishes without.
class CONVKIT_API NewFile {
 public:
  /// Whether `path` may be a device or a pipe, which is then written to as it is.
  enum class Devices { kRefused, kWritten };

  /// Throws c10::Error, whose text begins with the `caller` ("" of an app), where `path` cannot be
  /// written. What is there has to be writable, and gives its mode to the new file; symbolic links
  /// are followed.
  explicit NewFile(const std::string& path,
                   std::string caller = "save_checkpoint: ", Devices devices = Devices::kRefused);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(const void* data, uint64_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Has the disk take everything that was written, and closes the file.
  void flush();
  /// Removes what is at `path`, long before the file itself takes its place.
  void remove_old();
  void commit();

 private:
  void follow_links(const std::string& name);
  void create(const std::string& name, bool replaces);
  [[noreturn]] void fail(const char* what) const;

  std::string path_;
  std::string caller_;
  std::string partial_;  // empty once renamed, and for a device
  int descriptor_ = -1;
  uint64_t size_ = 0;
  uint64_t started_ = 0;  // what the disk has been asked to begin with
};

/// Whether a terminal shows a text as it is: it has no control characters, Unicode's among them.
CONVKIT_API bool is_plain(const std::string& text);

/// A text of a file as an error may show it: quoted, control characters escaped, cut.
std::string shown(std::string_view text);

/// A path as an error may show it: as it is if it is plain, else as other texts are shown.
std::string shown_path(const std::string& path);

/// A text as JSON has it. Throws c10::ValueError, which calls it `what`, for one that is not UTF-8.
std::string json_text(const char* what, const std::string& text);

}  // namespace convkit::detail
