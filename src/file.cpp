#include "file.h"

#include <c10/util/Exception.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <system_error>

namespace convkit::detail {
namespace {

std::string reason(int error) {
  return std::generic_category().message(error);
}

/// Closes on every way out.
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

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  // Without waiting for a writer, where the file is a pipe.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  TORCH_CHECK(file.value >= 0, "load_checkpoint: cannot open ", path, ": ", reason(errno));
  struct stat status{};
  TORCH_CHECK(::fstat(file.value, &status) == 0, "load_checkpoint: cannot read ", path, ": ",
              reason(errno));
  TORCH_CHECK(S_ISREG(status.st_mode), "load_checkpoint: expected a file, but ", path, " is ",
              S_ISDIR(status.st_mode) ? "a folder" : "a device or pipe");
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size == 0) return std::make_shared<const MappedFile>(path, nullptr, 0, [] {});
  // Without reserving memory for the pages that nobody writes to.
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
                      file.value, 0);
  TORCH_CHECK(data != MAP_FAILED, "load_checkpoint: cannot map ", path, " of ", size,
              " bytes: ", reason(errno));
  return std::make_shared<const MappedFile>(path, static_cast<char*>(data), size,
                                            [data, size] { ::munmap(data, size); });
}

NewFile::NewFile(const std::string& path) {
  std::error_code ignored;
  const std::filesystem::path real = std::filesystem::weakly_canonical(path, ignored);
  path_ = real.empty() ? path : real.string();
  struct stat status{};
  const bool there = ::stat(path_.c_str(), &status) == 0;
  TORCH_CHECK(!there || S_ISREG(status.st_mode), "save_checkpoint: expected a file's name, but ",
              path, " is ", S_ISDIR(status.st_mode) ? "a folder" : "a device or pipe");
  std::random_device random;
  do {
    partial_ = path_ + ".partial-" + std::to_string(random());
    descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  TORCH_CHECK(descriptor_ >= 0, "save_checkpoint: cannot write ", path, ": ", reason(errno));
  if (there) ::fchmod(descriptor_, status.st_mode & 07777);
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
    if (written <= 0) fail("write");
    next += written;
    size -= static_cast<uint64_t>(written);
    size_ += static_cast<uint64_t>(written);
  }
  // The disk begins with these while the next are copied, instead of at the flush.
  constexpr uint64_t kWorthStarting = 8 << 20;
  if (size_ - started_ >= kWorthStarting) {
    ::sync_file_range(descriptor_, static_cast<off_t>(started_),
                      static_cast<off_t>(size_ - started_), SYNC_FILE_RANGE_WRITE);
    started_ = size_;
  }
}

void NewFile::commit() {
  if (::fsync(descriptor_) != 0) fail("flush");
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail("close");
  if (::rename(partial_.c_str(), path_.c_str()) != 0) fail("rename");
  partial_.clear();
  // The new name itself; a file system that cannot flush a folder has no more to give.
  const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
  const Descriptor opened(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC));
  if (opened.value >= 0) ::fsync(opened.value);
}

void NewFile::fail(const char* what) const {
  const int error = errno;
  TORCH_CHECK(false, "save_checkpoint: cannot ", what, " ", path_, ": ", reason(error));
}

std::string shown(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  const bool cut = text.size() > kLongest;
  return nlohmann::json(text.substr(0, kLongest))
             .dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace) +
         (cut ? "..." : "");
}

}  // namespace convkit::detail
