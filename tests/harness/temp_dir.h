// A folder of a test's own, gone with the test.
#pragma once

#include <filesystem>

namespace sprockets::harness {

/// Created in $TMPDIR, else in /tmp: a socket's path has room for 107 bytes only, so it must stay short.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// Lets other users pass through our own temporary folders to `folder`, without being able to list them.
void OpenTheWayTo(const std::filesystem::path& folder);

}  // namespace sprockets::harness
