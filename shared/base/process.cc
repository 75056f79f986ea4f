#include "shared/base/process.h"

#include <csignal>
#include <fcntl.h>
#include <unistd.h>

namespace sprockets {

void PrepareProcess() {
  // The lowest free descriptor is taken, so this fills the gaps and goes one beyond.
  int fd = 0;
  while (fd >= 0 && fd <= STDERR_FILENO) fd = open("/dev/null", O_RDWR);
  if (fd > STDERR_FILENO) close(fd);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace sprockets
