// A disk of a test's own that can be full, read-only, or lose its power.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace sprockets::harness {

/// Mounted in a namespace of the calling thread and of the processes that it starts, so that it is gone with them,
/// whatever happens. Use it from one thread, the one that starts the processes.
class MountedDisk {
 public:
  /// In memory; `size` as mount's option, "8m". Nothing where mounting is not permitted: then the test says so and
  /// ends.
  static std::unique_ptr<MountedDisk> InMemory(const std::filesystem::path& folder, const std::string& size);
  /// An ext4 file system in a file, which keeps what was synced when its power is cut.
  static std::unique_ptr<MountedDisk> WithPower(const std::filesystem::path& folder);
  ~MountedDisk();

  std::filesystem::path path() const { return folder_ / "disk"; }
  /// mount's options: "size=64m", "ro".
  void Remount(const std::string& options) const;
  /// From now on every write and sync fails, and what was not synced is lost. The processes that write there must have
  /// been killed before: a sync that the cut overtakes reports success, as none in a machine without power could.
  void CutPower() const;
  void PowerOn() const;

 private:
  explicit MountedDisk(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path folder_;
};

}  // namespace sprockets::harness
