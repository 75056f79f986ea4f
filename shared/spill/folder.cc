// What every spill folder is, whatever it lies on: the names of its files.
#include "shared/spill/folder.h"

#include "shared/spill/file_names.h"

namespace sprockets {

std::filesystem::path SpillFolder::PathOf(int64_t number, SpillFileInfo::State state) const {
  std::string stem = StemOf(number);
  switch (state) {
    case SpillFileInfo::State::kActive:
      return path_ / stem.append(kActiveSuffix);
    case SpillFileInfo::State::kSealed:
      return path_ / stem.append(kSealedSuffix);
    case SpillFileInfo::State::kDrained:
      break;
  }
  return path_ / "drained" / stem.append(kDrainedSuffix);
}

Result<std::vector<SpillFileInfo>> SpillFolder::List() const {
  return List([](int64_t) { return true; });
}

}  // namespace sprockets
