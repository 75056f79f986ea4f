// What the operating system says of files, in our words, and whose a new file is. Any thread.
#pragma once

#include <filesystem>
#include <string>

#include "shared/base/result.h"

namespace sprockets {

/// The class of an errno: kFull (no space, quota, file size limit), kStarved (descriptors, memory), kForbidden (rights,
/// read-only file system); kIo for every other one, 0 included.
ErrorCode CodeOfSystemError(int number);

/// A file that root makes in a folder of somebody else belongs to that user, or the sidecar could not use it any more.
/// Does nothing for others than root. An error is not one of the file: it is there all the same.
void GiveToOwnerOfFolder(const std::filesystem::path& file);

/// "it belongs to user 0, and this is user 10001: …", where that is why a file cannot be used; otherwise empty.
std::string WhoOwns(const std::filesystem::path& path);

}  // namespace sprockets
