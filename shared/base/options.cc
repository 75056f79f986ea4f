// The command line and the environment. cxxopts does the splitting into names and values; everything that it lets pass
// silently (extra words, repeated scalars, an option taken for the value of the one before) is refused here.
#if defined(__GNUC__) && !defined(__clang__)
// With sanitizers GCC 12 takes std::regex, which cxxopts uses, for uninitialized (GCC bug 105562).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "shared/base/options.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>

#include <cxxopts.hpp>

#include "shared/base/text.h"

namespace sprockets {
namespace {

constexpr std::string_view kPrefix = "SPROCKETS_";
constexpr size_t kMaxArgumentBytes = 64 * 1024;  // cxxopts matches with std::regex, which recurses for each byte
constexpr size_t kMaxPasswordFileBytes = 64 * 1024;
constexpr size_t kHelpWidth = 80;
constexpr size_t kHelpColumn = 30;  // where the descriptions of options begin

bool IsFlag(const Option& option) {
  return option.value.empty();
}

cxxopts::Options Declare(std::span<const Option> table) {
  cxxopts::Options declared("sprockets");
  auto add = declared.add_options();
  for (const Option& option : table) {
    const std::string name(option.name);
    if (IsFlag(option)) {
      add(name, "", cxxopts::value<bool>());
    } else {
      add(name, "", cxxopts::value<std::string>());
    }
  }
  add("h,help", "", cxxopts::value<bool>());
  add("version", "", cxxopts::value<bool>());
  return declared;
}

/// "Option 'foo' does not exist" in our words. cxxopts quotes the whole argument of one that it cannot read, which may
/// hold a password, so that text goes no further.
Error FromParser(const cxxopts::exceptions::exception& failure) {
  if (dynamic_cast<const cxxopts::exceptions::invalid_option_syntax*>(&failure) != nullptr) {
    return UsageError(
        "an argument begins with '-' but is not an option; write options as --name VALUE or --name=VALUE");
  }
  if (dynamic_cast<const cxxopts::exceptions::incorrect_argument_type*>(&failure) != nullptr) {
    return UsageError("a flag takes no value but true or false");
  }
  std::string text = failure.what();
  for (const std::string_view quote : {"\u2018", "\u2019"}) {
    for (size_t at = text.find(quote); at != std::string::npos; at = text.find(quote))
      text.replace(at, quote.size(), "'");
  }
  return UsageError(std::move(text));
}

Result<bool> ParseFlag(std::string_view text) {
  if (text == "1" || text == "true" || text == "yes" || text == "on") return true;
  if (text.empty() || text == "0" || text == "false" || text == "no" || text == "off") return false;
  return UsageError("is a flag: set it to 1 or 0");
}

/// A word for an error: URLs may hold passwords.
std::string ForError(std::string_view word) {
  return word.find("://") == std::string_view::npos ? "'" + Escape(word, 64) + "'" : std::string("(a URL)");
}

}  // namespace

std::string EnvironmentName(std::string_view option) {
  std::string name(kPrefix);
  for (const char c : option) name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

Result<Options> Options::Parse(int argc, const char* const* argv, std::span<const Option> table) {
  Options options;
  for (const Option& option : table) options.given_[std::string(option.name)].is_flag = IsFlag(option);
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]).size() > kMaxArgumentBytes)
      return UsageError("argument " + std::to_string(i) + " is too long");
  }
  try {
    const cxxopts::ParseResult parsed = Declare(table).parse(argc, argv);
    for (const cxxopts::KeyValue& argument : parsed.arguments()) {
      if (argument.key() == "help") options.help_ = true;
      if (argument.key() == "version") options.version_ = true;
      const auto found = options.given_.find(argument.key());
      if (found != options.given_.end()) found->second.values.push_back(argument.value());
    }
    options.words_ = parsed.unmatched();
  } catch (const cxxopts::exceptions::exception& failure) {
    return FromParser(failure);
  }
  for (const Option& option : table) {
    Given& given = options.given_.find(option.name)->second;
    const std::string shown = "--" + std::string(option.name);
    if (given.values.size() > 1 && !option.repeats) return UsageError(shown + " is given more than once; give it once");
    for (std::string& value : given.values) {
      if (given.is_flag) {
        ASSIGN_OR_RETURN(const bool on, ParseFlag(value).Prefixed(shown));
        value = on ? "true" : "false";
      } else if (value.starts_with("--")) {
        return UsageError(shown + " needs a value (" + std::string(option.value) +
                          ") and is followed by another option");
      }
    }
    if (given.values.empty()) RETURN_IF_ERROR(options.TakeEnvironment(option));
    if (given.values.empty() && !option.preset.empty()) {
      given.values.emplace_back(option.preset);
      given.is_preset = true;
    }
  }
  return options;
}

Status Options::TakeEnvironment(const Option& option) {
  const std::string variable = EnvironmentName(option.name);
  const char* const value = std::getenv(variable.c_str());
  if (value == nullptr) return {};
  Given& given = given_.find(option.name)->second;
  if (!IsFlag(option)) {
    // Compose files pass "VARIABLE=" for what is not set.
    if (*value == '\0') return {};
    given.values.emplace_back(value);
  } else {
    ASSIGN_OR_RETURN(const bool on, ParseFlag(value).Prefixed(variable));
    given.values.emplace_back(on ? "true" : "false");
  }
  given.by_environment = true;
  return {};
}

Status Options::RefuseWords(size_t most) const {
  if (words_.size() <= most) return {};
  return UsageError("unexpected word " + ForError(words_[most]) + "; options begin with --");
}

const Options::Given& Options::Of(std::string_view name) const {
  const auto found = given_.find(name);
  SPROCKETS_ASSERT(found != given_.end());
  return found->second;
}

bool Options::Has(std::string_view name) const {
  const Given& given = Of(name);
  return !given.values.empty() && !given.is_preset;
}

bool Options::Flag(std::string_view name) const {
  const Given& given = Of(name);
  SPROCKETS_ASSERT(given.is_flag);
  return !given.values.empty() && given.values.front() == "true";
}

const std::string& Options::Text(std::string_view name) const {
  static const std::string kNone;
  const Given& given = Of(name);
  return given.values.empty() ? kNone : given.values.front();
}

const std::vector<std::string>& Options::All(std::string_view name) const {
  return Of(name).values;
}

std::string Options::Origin(std::string_view name) const {
  return Of(name).by_environment ? EnvironmentName(name) : "--" + std::string(name);
}

Result<int64_t> Options::DurationMs(std::string_view name) const {
  return ParseDurationMs(Text(name)).Prefixed(Origin(name));
}

Result<int64_t> Options::SizeBytes(std::string_view name) const {
  return ParseSizeBytes(Text(name)).Prefixed(Origin(name));
}

Result<int64_t> Options::Integer(std::string_view name, int64_t least, int64_t most) const {
  return ParseInteger(Text(name), least, most).Prefixed(Origin(name));
}

Result<size_t> Options::Choice(std::string_view name, std::span<const std::string_view> choices) const {
  const auto found = std::find(choices.begin(), choices.end(), Text(name));
  if (found != choices.end()) return static_cast<size_t>(found - choices.begin());
  std::string message = Origin(name) + ": one of";
  for (const std::string_view choice : choices) message.append(" ").append(choice);
  return UsageError(message + ", not " + ForError(Text(name)));
}

std::string WrapHelp(std::string_view text, size_t indent) {
  std::string wrapped;
  size_t room = kHelpWidth;
  while (text.size() > room) {
    size_t end = text.rfind(' ', room);
    if (end == std::string_view::npos) end = text.find(' ');  // a word that is longer than a line
    if (end == std::string_view::npos) break;
    wrapped.append(text.substr(0, end)).append("\n").append(indent, ' ');
    text.remove_prefix(end + 1);
    room = kHelpWidth - indent;
  }
  return wrapped.append(text).append("\n");
}

std::string HelpText(std::string_view usage, std::string_view about, std::span<const Option> table) {
  std::string text = WrapHelp("usage: " + std::string(usage), 7) + "\n" + WrapHelp(about) + "\n";
  const auto line = [&text](std::string left, const std::string& right) {
    left.insert(0, "  ");
    if (left.size() + 2 > kHelpColumn) {
      text.append(left).append("\n");
      left.clear();
    }
    left.resize(kHelpColumn, ' ');
    text.append(WrapHelp(left + right, kHelpColumn));
  };
  for (const Option& option : table) {
    std::string left = "--" + std::string(option.name);
    if (!IsFlag(option)) left.append(" ").append(option.value);
    std::string right(option.help);
    if (option.repeats) right += "; may be repeated";
    if (option.required) right += " (required)";
    if (!option.preset.empty()) right.append(" (default ").append(option.preset).append(")");
    line(std::move(left), right);
  }
  line("--version", "print the version");
  line("-h, --help", "print this help");
  return text + "\n" +
         WrapHelp(
             "Each option can also be set in the environment: --spill-dir as SPROCKETS_SPILL_DIR. The command line "
             "wins.");
}

Result<std::string> ReadPasswordFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return UsageError("the password file '" + Escape(path) + "' cannot be read");
  std::string text(kMaxPasswordFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (file.bad()) return UsageError("the password file '" + Escape(path) + "' cannot be read");
  if (text.size() > kMaxPasswordFileBytes)
    return UsageError("the password file '" + Escape(path) + "' is over 64 KiB; is it the right one?");
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

Error MissingOption(std::string_view name) {
  return UsageError("--" + std::string(name) + " is missing (or " + EnvironmentName(name) + " in the environment)");
}

std::string UsageLine(std::string_view command, const Error& error) {
  const std::string called(command);
  return called + ": " + Escape(error.message, error.message.size()) + "; see " + called + " --help\n";
}

}  // namespace sprockets
