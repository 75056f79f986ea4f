// The command line and the environment of a program, read over one table of options: --redis-timeout is also
// SPROCKETS_REDIS_TIMEOUT, and the command line wins. What cannot be meant is an error of kUsage that names the
// option and the way out; no error repeats a value that could hold a password.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace sprockets {

struct Option {
  std::string_view name;   // "redis-timeout"
  std::string_view value;  // what stands for the value in --help: "URL". Empty: a flag
  std::string_view help;
  std::string_view preset = {};  // the value where none was given; empty: none
  bool repeats = false;          // may be given more than once. A value is never split, not at commas either
  bool required = false;         // for --help alone: the program's own check says what is missing
};

/// What was given. --help (or -h) and --version are options of every program, on the command line only.
class Options {
 public:
  /// `argv` begins with the program's (or command's) name, which is passed over. `table` may be gone afterwards.
  static Result<Options> Parse(int argc, const char* const* argv, std::span<const Option> table);

  bool help() const { return help_; }
  bool version() const { return version_; }
  /// Arguments that are not options, in order. A caller that wants none calls RefuseWords.
  const std::vector<std::string>& words() const { return words_; }
  Status RefuseWords(size_t most = 0) const;

  /// Given, on the command line or in the environment (a preset is not "given").
  bool Has(std::string_view name) const;
  bool Flag(std::string_view name) const;
  /// The value, else the preset, else "". All: of an option that repeats.
  const std::string& Text(std::string_view name) const;
  const std::vector<std::string>& All(std::string_view name) const;

  // Values read as what they mean; the errors begin with where the value came from ("--redis-timeout").
  Result<int64_t> DurationMs(std::string_view name) const;
  Result<int64_t> SizeBytes(std::string_view name) const;
  Result<int64_t> Integer(std::string_view name, int64_t least, int64_t most) const;
  /// The position of the value among `choices`.
  Result<size_t> Choice(std::string_view name, std::span<const std::string_view> choices) const;

  /// "--redis-timeout" or "SPROCKETS_REDIS_TIMEOUT", whichever gave the value: what an error should name.
  std::string Origin(std::string_view name) const;

 private:
  struct Given {
    std::vector<std::string> values;
    bool is_flag = false;
    bool by_environment = false;
    bool is_preset = false;
  };
  const Given& Of(std::string_view name) const;
  Status TakeEnvironment(const Option& option);

  std::map<std::string, Given, std::less<>> given_;  // every option of the table
  std::vector<std::string> words_;
  bool help_ = false;
  bool version_ = false;
};

/// "redis-timeout" -> "SPROCKETS_REDIS_TIMEOUT".
std::string EnvironmentName(std::string_view option);

/// The text of --help, at most 80 columns wide: `usage` ("sprockets-sidecar --socket PATH …"), `about`, then the
/// options of `table` and what each does. All texts are ASCII; line breaks are set here.
std::string HelpText(std::string_view usage, std::string_view about, std::span<const Option> table);

/// `text` in lines of at most 80 columns; all but the first begin with `indent` blanks. Blanks within a line stay.
std::string WrapHelp(std::string_view text, size_t indent = 0);

/// What a password file holds, without the line break at its end. At most 64 KiB.
Result<std::string> ReadPasswordFile(const std::string& path);

/// Of a required option that was not given.
Error MissingOption(std::string_view name);

/// What a program says on stderr about a command line that cannot be meant: one line, which leads to the --help of
/// `command` ("sprockets-replayer drain").
std::string UsageLine(std::string_view command, const Error& error);

}  // namespace sprockets
