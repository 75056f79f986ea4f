// The replayer's commands, one file each. They write their output to `out` and say everything else on stderr.
#pragma once

#include <ostream>
#include <string_view>

#include "replayer/config.h"

namespace sprockets {

/// Runs the program: parses, dispatches. Returns the exit code of --help's list.
int RunProgram(int argc, const char* const* argv, std::ostream& out);

int RunStatus(const Config& config, std::ostream& out);
int RunShow(const Config& config, std::ostream& out);
int RunDrain(const Config& config, std::ostream& out);
int RunMigrate(const Config& config, std::ostream& out);
int RunRebuild(const Config& config, std::ostream& out);
int RunVerify(const Config& config, std::ostream& out);
int RunAccess(const Config& config, std::ostream& out);

/// How a command ends that cannot do its work: the error in the log and, with --json, as the document that every run
/// ends with. Returns the exit code.
int Fail(const Config& config, std::string_view command, const Error& error, std::ostream& out);

/// 2 usage, 3 a store is not reachable, 4 refused or bad data.
int ExitCodeOf(const Error& error);

}  // namespace sprockets
