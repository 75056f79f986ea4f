// The table of commands, and from the command line to one of them.
#include "replayer/command.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "shared/base/log.h"
#include "shared/base/process.h"

namespace sprockets {

// One line a command, in the order of --help. A file of commands/ defines its function, StatusCommand and so on.
#define SPROCKETS_COMMANDS(ENTRY) \
  ENTRY(Status)                   \
  ENTRY(Show)                     \
  ENTRY(Skipped)                  \
  ENTRY(Drain)                    \
  ENTRY(Migrate)                  \
  ENTRY(Rebuild)                  \
  ENTRY(Verify)                   \
  ENTRY(Snapshot)                 \
  ENTRY(Restore)                  \
  ENTRY(Access)                   \
  ENTRY(Archive)

#define SPROCKETS_DECLARE(Name) std::unique_ptr<Command> Name##Command();
#define SPROCKETS_CREATE(Name) Name##Command(),

SPROCKETS_COMMANDS(SPROCKETS_DECLARE)

namespace {

constexpr std::string_view kProgram = "sprockets-replayer";

/// What every command has, behind its own options.
struct GeneralOptions {
  bool json = false;
  LogFormat log_format = LogFormat::kText;
  bool check_config = false;
  bool probe = false;

  void Declare(OptionTable& options) {
    static constexpr std::array<std::string_view, 2> kFormats{"text", "json"};
    options.Flag("json", "print the summary as JSON", &json);
    options.Choice("log-format", kFormats, "format of the log on stderr", &log_format);
    options.Flag("check-config", "check the options and exit; change nothing", &check_config);
    options.Flag("probe", "with --check-config: also ask the servers whether they can be used", &probe);
  }
  Status Check() const { return probe && !check_config ? UsageError("--probe goes with --check-config") : Status(); }
};

auto AllCommands() {
  return std::array{SPROCKETS_COMMANDS(SPROCKETS_CREATE)};
}

/// None where there is no such command.
std::unique_ptr<Command> Find(std::string_view name) {
  for (std::unique_ptr<Command>& command : AllCommands()) {
    if (command->name() == name) return std::move(command);
  }
  return nullptr;
}

std::string GeneralHelp() {
  std::string text =
      WrapHelp("usage: sprockets-replayer <command> [options]") + "\n" +
      WrapHelp("Moves data between SQLite, Redis and PostgreSQL after an outage, and proves that it did.") + "\n";
  for (const std::unique_ptr<Command>& command : AllCommands()) {
    std::string left = "  " + std::string(command->name());
    left.resize(12, ' ');
    text.append(WrapHelp(left.append(command->about()), 12));
  }
  return text + "\n" + WrapHelp("sprockets-replayer <command> --help lists the options of a command.") + "\n" +
         WrapHelp(
             "Exit codes: 0 done and verified; 1 finished, but something differs, is unproven, rejected or left; 2 "
             "wrong usage; 3 Redis or PostgreSQL is not reachable, or a disk takes nothing; 4 refused by a guard, "
             "or bad data.",
             12);
}

std::string CommandHelp(const Command& command, const OptionTable& table) {
  std::string usage(kProgram);
  usage.append(" ").append(command.name()).append(table.Words()).append(" [options]");
  return HelpText(usage, command.about(), table.options());
}

std::string VersionText() {
  return std::string(kProgram) + " " SPROCKETS_VERSION "\n";
}

bool IsHelp(std::string_view word) {
  return word == "--help" || word == "-h" || word == "help";
}

/// One run of the program. `words` are what follows its name.
class Invocation {
 public:
  Invocation(std::span<const char* const> words, std::ostream& out, std::ostream& err)
      : words_(words), out_(out), err_(err) {}

  ExitCode Run() {
    if (words_.empty()) return Refuse("a command is missing");
    const std::string_view first = words_.front();
    if (first == "help" && words_.size() > 1) {
      const std::array about{words_[1], "--help"};
      return Invocation(about, out_, err_).Run();
    }
    if (IsHelp(first)) return Print(GeneralHelp());
    if (first == "--version") return Print(VersionText());
    if (first.starts_with("-")) return Refuse("the command comes first: sprockets-replayer <command> [options]");
    const std::unique_ptr<Command> command = Find(first);
    return command ? Run(*command) : Refuse("no such command");
  }

 private:
  ExitCode Run(Command& command) {
    OptionTable table;
    GeneralOptions general;
    command.Declare(table);
    general.Declare(table);
    const Result<Options> options = Options::Parse(static_cast<int>(words_.size()), words_.data(), table.options());
    if (!options.ok()) return Refuse(options.error(), &command);
    if (options.value().help()) return Print(CommandHelp(command, table));
    if (options.value().version()) return Print(VersionText());
    Status read = table.Read(options.value());
    if (read.ok()) read = general.Check();
    if (read.ok()) read = command.Check();
    if (!read.ok()) return Refuse(read.error(), &command);
    InitLog(general.log_format);
    Output output(command.name(), general.json, out_);
    const Result<Outcome> run = general.check_config ? CheckConfig(table, general.probe) : command.Run(output);
    const Outcome outcome = run.ok() ? run.value() : Outcome::Failed(run.error());
    output.Print(outcome);
    return outcome.exit_code;
  }

  static Result<Outcome> CheckConfig(const OptionTable& table, bool probe) {
    Outcome outcome;
    outcome.result = "valid";
    for (const OptionTable::Ask& ask : table.servers()) {
      if (!probe) break;
      ASSIGN_OR_RETURN(const std::string answer, ask());
      if (!answer.empty()) outcome.text += answer + "\n";
    }
    outcome.text += "the configuration is valid\n";
    return outcome;
  }

  ExitCode Print(std::string_view text) {
    out_ << text << std::flush;
    return ExitCode::kDone;
  }

  ExitCode Refuse(std::string why) { return Refuse(Error{ErrorCode::kUsage, std::move(why)}, nullptr); }

  /// A command line that cannot be meant. A program that wants JSON gets a document even so.
  ExitCode Refuse(const Error& error, const Command* command) {
    std::string called(kProgram);
    if (command != nullptr) called.append(" ").append(command->name());
    err_ << UsageLine(called, error) << std::flush;
    const bool wants_json =
        std::any_of(words_.begin(), words_.end(), [](std::string_view word) { return word == "--json"; });
    if (wants_json) out_ << Outcome::Failed(error).Json(words_.front()) << std::flush;
    return ExitCode::kUsage;
  }

  const std::span<const char* const> words_;
  std::ostream& out_;
  std::ostream& err_;
};

}  // namespace

ExitCode RunProgram(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  PrepareProcess();
  const std::span words(argv, static_cast<size_t>(argc));
  return Invocation(words.empty() ? words : words.subspan(1), out, err).Run();
}

}  // namespace sprockets
