// Whether the disk below a spill folder takes something now.
#include <cerrno>
#include <fcntl.h>
#include <string>
#include <system_error>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/base/files.h"
#include "shared/spill/disk_folder.h"

namespace sprockets {

Status DiskFolder::ProveWritable() const {
  const std::filesystem::path file = path() / "probe";
  const auto failed = [&](int number) {
    return Error{CodeOfSystemError(number),
                 "cannot write and sync " + file.native() + ": " + std::generic_category().message(number)};
  };
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return failed(errno);
  GiveToOwnerOfFolder(file);
  // Other bytes each time, so that no layer below may think that there is nothing to do.
  const std::string text = std::to_string(WallClockMs()) + "\n";
  const bool written = pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
  const bool synced = written && fdatasync(fd) == 0;
  const int number = errno;
  close(fd);
  if (!synced) return failed(written || number != 0 ? number : ENOSPC);
  return {};
}

}  // namespace sprockets
