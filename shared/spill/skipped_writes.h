// skipped.sqlite: to which keys the sidecar skipped writes while Redis was away, until they are restored. The sidecar
// adds, the replayer strikes off, each in commits of its own; either opens the file for one call and closes it. Any
// thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "shared/spill/skipped_key.h"

namespace sprockets {

class SkippedWrites {
 public:
  static constexpr std::string_view kFileName = "skipped.sqlite";
  static constexpr int64_t kMostKeys = 10'000;

  /// In a spill folder, which exists.
  explicit SkippedWrites(const std::filesystem::path& folder) : path_(folder / kFileName) {}

  struct Added {
    std::vector<std::string> fresh;    // keys that were not on the list before
    std::vector<std::string> refused;  // keys that did not come onto it, because it is full
  };
  /// One commit, on disk when it returns; makes the file where there is none. kFull: the disk is full, and nothing was
  /// added. After another error it may have been.
  Result<Added> Add(std::span<const SkippedKey> skipped) const;
  /// Those that were skipped first come first; empty where there is no file.
  Result<std::vector<SkippedKey>> List() const;
  /// One commit: `restored` as they were listed once. What was skipped since then stays on the list, also if somebody
  /// else has struck off what was listed.
  Status StrikeOff(std::span<const SkippedKey> restored) const;

 private:
  std::filesystem::path path_;
};

}  // namespace sprockets
