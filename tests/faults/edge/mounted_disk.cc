#include "tests/faults/edge/mounted_disk.h"

#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <sched.h>
#include <stdexcept>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <system_error>
#include <unistd.h>
#include <vector>

#include "tests/harness/process.h"

namespace sprockets::harness {
namespace {

// linux/fs.h has it only from version 6 on: _IOR('X', 125, __u32), and a flag that drops the journal's memory, too.
constexpr unsigned long kShutdown = 0x8004587D;
constexpr uint32_t kNoLogFlush = 2;

// Once a thread: mounts that are made from here on are seen by nobody else.
bool EnterOwnMounts() {
  thread_local const bool entered =
      unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  return entered;
}

void MustRun(std::vector<std::string> command, const std::filesystem::path& folder) {
  const std::string shown = command[0];
  const RunResult run = Run(std::move(command), folder);
  if (run.exit_code != 0) throw std::runtime_error(shown + ": " + run.err);
}

}  // namespace

std::unique_ptr<MountedDisk> MountedDisk::InMemory(const std::filesystem::path& folder, const std::string& size) {
  if (!EnterOwnMounts()) return nullptr;
  std::unique_ptr<MountedDisk> disk(new MountedDisk(folder));
  std::filesystem::create_directories(disk->path());
  const std::string options = "size=" + size;
  if (mount("none", disk->path().c_str(), "tmpfs", 0, options.c_str()) != 0) return nullptr;
  return disk;
}

std::unique_ptr<MountedDisk> MountedDisk::WithPower(const std::filesystem::path& folder) {
  if (!EnterOwnMounts()) return nullptr;
  std::unique_ptr<MountedDisk> disk(new MountedDisk(folder));
  std::filesystem::create_directories(disk->path());
  const std::filesystem::path image = folder / "image";
  MustRun({"truncate", "--size=96M", image}, folder);
  MustRun({"/sbin/mkfs.ext4", "-q", "-F", image}, folder);
  const RunResult mounted = Run({"mount", "-o", "loop", image, disk->path()}, folder);
  if (mounted.exit_code != 0) return nullptr;
  return disk;
}

MountedDisk::~MountedDisk() {
  umount2(path().c_str(), MNT_DETACH);
}

void MountedDisk::Remount(const std::string& options) const {
  MustRun({"mount", "-o", "remount," + options, path()}, folder_);
}

void MountedDisk::CutPower() const {
  const int fd = open(path().c_str(), O_RDONLY | O_CLOEXEC);
  const int result = fd < 0 ? -1 : ioctl(fd, kShutdown, &kNoLogFlush);
  const int error = errno;
  if (fd >= 0) close(fd);
  if (result != 0) throw std::system_error(error, std::generic_category(), "FS_IOC_SHUTDOWN");
}

void MountedDisk::PowerOn() const {
  MustRun({"umount", path()}, folder_);
  MustRun({"mount", "-o", "loop", folder_ / "image", path()}, folder_);
}

}  // namespace sprockets::harness
