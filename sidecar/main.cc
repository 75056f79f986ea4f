#include <cstdio>
#include <malloc.h>

#include "shared/base/log.h"
#include "shared/base/options.h"
#include "shared/base/process.h"
#include "sidecar/config.h"
#include "sidecar/sidecar.h"

int main(int argc, char** argv) {
  using namespace sprockets;
  PrepareProcess();
  const auto command = ParseSidecarCommand(argc, argv);
  if (!command.ok()) {
    std::fputs(UsageLine("sprockets-sidecar", command.error()).c_str(), stderr);
    return kSidecarUsage;
  }
  switch (command.value().kind) {
    case SidecarCommand::Kind::kPrint:
      std::fputs(command.value().text.c_str(), stdout);
      return kSidecarStopped;
    case SidecarCommand::Kind::kCheckConfig:
      std::puts("the configuration is valid");
      return kSidecarStopped;
    case SidecarCommand::Kind::kRun:
      break;
  }
  InitLog(command.value().config.log_format);
  LogInBackground();
  // What a turn of the loop frees, the next one needs again: without this it goes back to the system each time.
  mallopt(M_TRIM_THRESHOLD, 4 << 20);
  const int exit_code = Sidecar(command.value().config).Run();
  FlushLog(/*patience_ms=*/1000);
  return exit_code;
}
