// A command of the program: it owns its options, its run and its report. Each is a file of commands/ and a line of the
// table in command.cc.
#pragma once

#include <ostream>
#include <string_view>

#include "replayer/option_table.h"
#include "replayer/outcome.h"
#include "shared/base/result.h"

namespace sprockets {

class Command {
 public:
  /// `about` is for --help: what it does, in a sentence or two.
  Command(std::string_view called, std::string_view about) : name_(called), about_(about) {}
  virtual ~Command() = default;
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  std::string_view name() const { return name_; }
  std::string_view about() const { return about_; }

  /// Binds its options to fields of its own.
  virtual void Declare(OptionTable& options) = 0;
  /// What cannot be meant together. The error is kUsage.
  virtual Status Check() const { return {}; }
  /// Once, after its options were read and checked. An error: it could not do its work.
  virtual Result<Outcome> Run(Output& output) = 0;

 private:
  const std::string_view name_;
  const std::string_view about_;
};

/// Runs the program: finds the command, reads its options, runs it. `out` gets what was asked for, `err` what is wrong
/// with the command line; the log goes to stderr.
ExitCode RunProgram(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace sprockets
