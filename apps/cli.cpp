#include "cli.h"

#include "core/text.h"
#include "files/file.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <cstdio>
#include <exception>

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

}  // namespace cli
