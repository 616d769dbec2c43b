#include "cli.h"

#include "core/text.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace cli {

int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
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
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path target = fs::weakly_canonical(path, error);
  const bool in_place = fs::exists(target, error) && !fs::is_regular_file(target, error);
  const fs::path written =
      in_place ? target
               : target.parent_path() / (".convkit-" + std::to_string(getpid()) + ".partial");
  errno = 0;
  std::ofstream stream(written, std::ios::binary);
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  stream.close();
  error = std::error_code(stream.fail() ? errno : 0, std::generic_category());
  if (!stream.fail() && !in_place) fs::rename(written, target, error);
  if (stream.fail() || error) {
    std::error_code ignored;
    if (!in_place) fs::remove(written, ignored);
    throw std::runtime_error("cannot write " + printable(path) +
                             (error ? ": " + error.message() : ""));
  }
}

std::string with_commas(int64_t number) {
  if (number < 1000) return std::to_string(number);
  return with_commas(number / 1000) + fmt::format(",{:03}", number % 1000);
}

std::string counted(int64_t number, const std::string& what) {
  return with_commas(number) + " " + what + (number == 1 ? "" : "s");
}

std::string printable(const std::string& text) {
  const auto is_control = [](unsigned char c) { return c < ' ' || c == 0x7f; };
  // U+0080 to U+00BF; U+0600 to U+063F; U+2000 to U+207F; U+F000 to U+FFFF; U+E0000 and more: among
  // them all line ends, changes of direction and characters without a width.
  const char* const hidden[] = {"\xc2", "\xd8", "\xe2\x80", "\xe2\x81", "\xef", "\xf3"};
  const bool unicode_control =
      std::any_of(std::begin(hidden), std::end(hidden),
                  [&](const char* c) { return text.find(c) != std::string::npos; });
  const bool blank = text.empty() || text.front() == ' ' || text.back() == ' ';
  if (!blank && !unicode_control && std::none_of(text.begin(), text.end(), is_control)) return text;
  return convkit::detail::quoted_ascii(text);
}

}  // namespace cli
