// The command line, an argument a line: whatever it is, it is taken or refused in one line that repeats no password.
#include <array>
#include <string>
#include <vector>

#include "shared/base/options.h"
#include "tests/fuzz/input.h"

namespace sprockets::fuzz {
namespace {

constexpr std::string_view kPassword = "hunter2";
constexpr std::array kTable = {
    Option{"redis", "URL", "where Redis is"},
    Option{"redis-timeout", "DURATION", "how long it may take", "250ms"},
    Option{"streams", "GLOB", "which streams", {}, true},
    Option{"json", "", "for programs"},
};

void CheckError(const Error& error, bool has_url) {
  SPROCKETS_ASSERT(error.code == ErrorCode::kUsage && !error.message.empty());
  SPROCKETS_ASSERT(!has_url || error.message.find(kPassword) == std::string::npos);
}

}  // namespace
}  // namespace sprockets::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sprockets;
  using namespace sprockets::fuzz;
  std::vector<std::string> arguments = {"program", "--redis=redis://:hunter2@localhost"};
  bool names_password = false;  // outside of the URL that is there
  for (const std::string_view line : LinesOf(TextOf(data, size))) {
    arguments.emplace_back(line.substr(0, line.find('\0')));
    names_password = names_password || line.find(kPassword) != std::string_view::npos;
  }
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());

  const Result<Options> options = Options::Parse(static_cast<int>(argv.size()), argv.data(), kTable);
  if (!options.ok()) {
    CheckError(options.error(), !names_password);
    return 0;
  }
  SPROCKETS_ASSERT(options.value().Text("redis") == "redis://:hunter2@localhost" && options.value().Has("redis"));
  const bool no_words = options.value().words().empty();
  if (Status words = options.value().RefuseWords(); !words.ok()) CheckError(words.error(), !names_password);
  SPROCKETS_ASSERT(options.value().RefuseWords().ok() == no_words);
  if (Result<int64_t> ms = options.value().DurationMs("redis-timeout"); !ms.ok())
    CheckError(ms.error(), !names_password);
  (void)options.value().Flag("json");
  return 0;
}
