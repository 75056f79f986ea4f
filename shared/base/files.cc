#include "shared/base/files.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sprockets {

ErrorCode CodeOfSystemError(int number) {
  switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return ErrorCode::kFull;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return ErrorCode::kStarved;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::kForbidden;
    default:
      return ErrorCode::kIo;
  }
}

void GiveToOwnerOfFolder(const std::filesystem::path& file) {
  if (geteuid() != 0) return;
  struct stat folder = {};
  const std::filesystem::path parent = file.parent_path();
  if (stat(parent.empty() ? "." : parent.c_str(), &folder) != 0 || folder.st_uid == 0) return;
  const int ignored = fchownat(AT_FDCWD, file.c_str(), folder.st_uid, folder.st_gid, AT_SYMLINK_NOFOLLOW);
  static_cast<void>(ignored);
}

std::string WhoOwns(const std::filesystem::path& path) {
  struct stat facts = {};
  if (lstat(path.c_str(), &facts) != 0 || facts.st_uid == geteuid() || geteuid() == 0) return {};
  return "it belongs to user " + std::to_string(facts.st_uid) + ", and this is user " + std::to_string(geteuid()) +
         ": run as that user, or chown the folder's files to this one";
}

}  // namespace sprockets
