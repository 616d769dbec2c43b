#include "cli.h"

#include "core/text.h"
#include "files/file.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

namespace cli {

int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  app.set_version_flag("--version", "convkit " CONVKIT_VERSION ", with LibTorch " TORCH_VERSION);
  try {
    app.parse(argc, argv);
    const int code = body();
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
    fmt::print(stderr, "{}: cannot write to the standard output\n", app.get_name());
  } catch (const CLI::ParseError& error) {
    const bool help = app.exit(error) == 0;
    return help ? 0 : 2;
  } catch (const c10::Error& error) {
    fmt::print(stderr, "{}: {}\n", app.get_name(), error.what_without_backtrace());
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", app.get_name(), error.what());
  }
  return 2;
}

void write_file(const std::string& path, const std::string& bytes) {
  using convkit::detail::NewFile;
  NewFile file(path, /*caller=*/"", NewFile::Devices::kWritten);
  file.write(bytes);
  file.commit();
}

std::string with_commas(int64_t number) {
  if (number < 1000) return std::to_string(number);
  return with_commas(number / 1000) + fmt::format(",{:03}", number % 1000);
}

std::string counted(int64_t number, const std::string& what) {
  return with_commas(number) + " " + what + (number == 1 ? "" : "s");
}

std::string printable(const std::string& text) {
  const bool blank = text.empty() || text.front() == ' ' || text.back() == ' ';
  if (!blank && convkit::detail::is_plain(text)) return text;
  return convkit::detail::quoted_ascii(text);
}

Progress::Progress(bool wanted) : shown_(wanted && isatty(2) != 0) {}

void Progress::clear() const {
  if (shown_) fmt::print(stderr, "\r\033[K");
}

void Progress::show(int64_t done, int64_t of, const std::string& note) {
  using Seconds = std::chrono::duration<double>;
  const auto now = std::chrono::steady_clock::now();
  if (first_ < 0) {
    first_ = done;
    begun_ = now;
  }
  if (!shown_ || done == first_ || Seconds(now - last_).count() < 0.1) return;
  last_ = now;
  constexpr int64_t kBar = 30;
  const double rate = static_cast<double>(done - first_) / Seconds(now - begun_).count();
  const auto left = static_cast<int64_t>(static_cast<double>(of - done) / rate);
  std::string line = fmt::format("[{:<{}}] {} of {}, {:.1f} images/s, {}:{:02} left{}",
                                 std::string(static_cast<std::size_t>(kBar * done / of), '='), kBar,
                                 done, of, rate, left / 60, left % 60, note);
  // Of a line that is broken only the last part could be taken away.
  winsize size = {};
  if (ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && line.size() >= size.ws_col) {
    line.resize(size.ws_col - 1U);
  }
  fmt::print(stderr, "\r\033[K{}", line);
  std::fflush(stderr);
}

}  // namespace cli
