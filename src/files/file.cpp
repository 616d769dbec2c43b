#include "files/file.h"

#include "core/text.h"

#include <c10/util/Exception.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <new>
#include <optional>
#include <random>
#include <system_error>

namespace convkit::detail {
namespace {

std::string reason(int error) {
  return std::generic_category().message(error);
}

/// An open file, which is closed on every way out.
struct Descriptor {
  explicit Descriptor(int value) : value(value) {}
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  const int value;
};

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path,
                                                   const std::string& caller) {
  const std::string name = shown_path(path);
  TORCH_CHECK(!path.empty() && path.find('\0') == std::string::npos, caller,
              "expected the name of a file, got ", path.empty() ? "\"\"" : name);
  // O_NONBLOCK: a pipe is refused below, without waiting for its writer.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  TORCH_CHECK(file.value >= 0, caller, "cannot open ", name, ": ", reason(errno));
  struct stat status{};
  TORCH_CHECK(::fstat(file.value, &status) == 0, caller, "cannot read ", name, ": ", reason(errno));
  TORCH_CHECK(S_ISREG(status.st_mode), caller, "expected a file, but ", name, " is ",
              S_ISDIR(status.st_mode) ? "a folder" : "a device or pipe");
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size == 0) return std::make_shared<const MappedFile>(name, nullptr, 0, [] {});
  // MAP_NORESERVE: no memory is reserved for the pages that nobody writes to.
  void* data =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.value, 0);
  TORCH_CHECK(data != MAP_FAILED, caller, "cannot map ", name, " of ", size,
              " bytes: ", reason(errno), " (many files at once? each is a mapping)");
  return std::make_shared<const MappedFile>(name, static_cast<char*>(data), size,
                                            [data, size] { ::munmap(data, size); });
}

std::shared_ptr<const MappedFile> MappedFile::copy(const std::string& name,
                                                   std::string_view bytes) {
  constexpr std::size_t kAlignment = 64;
  const std::size_t size = (bytes.size() / kAlignment + 1) * kAlignment;
  char* data = static_cast<char*>(std::aligned_alloc(kAlignment, size));
  if (data == nullptr) throw std::bad_alloc();
  std::copy(bytes.begin(), bytes.end(), data);
  return std::make_shared<const MappedFile>(name, data, bytes.size(), [data] { std::free(data); });
}

NewFile::NewFile(const std::string& path, std::string caller, Devices devices)
    : path_(path), caller_(std::move(caller)) {
  const std::string name = shown_path(path);
  TORCH_CHECK(!path.empty() && path.find('\0') == std::string::npos, caller_,
              "expected the name of a file, got ", path.empty() ? "\"\"" : name);
  struct stat status{};
  const bool there = ::stat(path_.c_str(), &status) == 0;
  if (there && !S_ISREG(status.st_mode)) {
    TORCH_CHECK(devices == Devices::kWritten, caller_, "expected a file's name, but ", name, " is ",
                S_ISDIR(status.st_mode) ? "a folder" : "a device or pipe");
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail("write");
    return;
  }
  follow_links(name);
  if (there && ::faccessat(AT_FDCWD, path_.c_str(), W_OK, AT_EACCESS) != 0) {
    TORCH_CHECK(false, caller_, "cannot write ", name, ": ", reason(errno));
  }
  create(name, there);
  if (there && ::fchmod(descriptor_, status.st_mode & 07777) != 0) {
    const int error = errno;
    ::close(descriptor_);
    ::unlink(partial_.c_str());
    TORCH_CHECK(false, caller_, "cannot write ", name, " with its mode: ", reason(error));
  }
}

/// Makes `path_` what its symbolic links lead to, whether that is there or not.
void NewFile::follow_links(const std::string& name) {
  std::error_code error;
  for (int links = 0; std::filesystem::is_symlink(path_, error); ++links) {
    TORCH_CHECK(links < 40, caller_, "cannot write ", name, ": ", reason(ELOOP));
    const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
    path_ = folder / std::filesystem::read_symlink(path_, error);
  }
}

/// Opens the new file under a name that no other has.
void NewFile::create(const std::string& name, bool replaces) {
  std::random_device random;
  const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
  do {
    partial_ = folder / (".convkit-" + std::to_string(random()) + ".partial");
    // Nobody else may read what takes the place of a file that nobody else may read.
    descriptor_ =
        ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, replaces ? 0600 : 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  const int error = errno;
  // A person who gave the name at a command line needs no more than the reason.
  TORCH_CHECK(descriptor_ >= 0, caller_, "cannot write ", name,
              caller_.empty() ? ": " : ": no new file in its folder: ", reason(error));
}

NewFile::~NewFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!partial_.empty()) ::unlink(partial_.c_str());
}

void NewFile::write(const void* data, uint64_t size) {
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(descriptor_, next, std::min<uint64_t>(size, 64 << 20));
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = ENOSPC;
    if (written <= 0) fail("write");
    next += written;
    size -= static_cast<uint64_t>(written);
    size_ += static_cast<uint64_t>(written);
  }
  // The disk begins with these bytes while the next are copied, instead of at the flush.
  constexpr uint64_t kWorthStarting = 8 << 20;
  if (size_ - started_ >= kWorthStarting && !partial_.empty()) {
    ::sync_file_range(descriptor_, static_cast<off_t>(started_),
                      static_cast<off_t>(size_ - started_), SYNC_FILE_RANGE_WRITE);
    started_ = size_;
  }
}

void NewFile::flush() {
  if (descriptor_ < 0) return;
  if (!partial_.empty() && ::fsync(descriptor_) != 0) fail("flush");
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail("close");
}

void NewFile::remove_old() {
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT) fail("replace");
}

void NewFile::commit() {
  flush();
  if (partial_.empty()) return;  // a device
  if (::rename(partial_.c_str(), path_.c_str()) != 0) fail("rename");
  partial_.clear();
  // This flushes the new name itself; a file system that cannot flush a folder has no more to give.
  const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
  const Descriptor opened(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC));
  if (opened.value >= 0) ::fsync(opened.value);
}

void NewFile::fail(const char* what) const {
  const int error = errno;
  TORCH_CHECK(false, caller_, "cannot ", what, " ", shown_path(path_), ": ", reason(error));
}

bool is_plain(const std::string& text) {
  const auto is_control = [](unsigned char c) { return c < ' ' || c == 0x7f; };
  // U+0080 to U+00BF; U+0600 to U+063F; U+2000 to U+207F; U+F000 to U+FFFF; U+E0000 and more: among
  // them all line ends, changes of direction and characters without a width.
  const char* const hidden[] = {"\xc2", "\xd8", "\xe2\x80", "\xe2\x81", "\xef", "\xf3"};
  return std::none_of(text.begin(), text.end(), is_control) &&
         std::none_of(std::begin(hidden), std::end(hidden),
                      [&](const char* c) { return text.find(c) != std::string::npos; });
}

std::string shown(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  const bool cut = text.size() > kLongest;
  return quoted_ascii(text.substr(0, kLongest)) + (cut ? "..." : "");
}

std::string shown_path(const std::string& path) {
  return is_plain(path) ? path : shown(path);
}

std::string json_text(const char* what, const std::string& text) {
  const std::optional<std::string> json = json_string(text);
  TORCH_CHECK_VALUE(json, "save_checkpoint: expected ", what, " in UTF-8, got ", shown(text));
  return *json;
}

}  // namespace convkit::detail
