// Which file of a set gives which key of Redis.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/base/text.h"

namespace sprockets {

/// A key that two files give would be right for one of them at most, and each would undo the other's work. Any thread.
class KeyOwners {
 public:
  /// `file` gives this key. kRefused: another one does, too.
  Status Claim(const std::string& key, const std::string& file) {
    const std::lock_guard lock(mutex_);
    const auto& [owned, is_new] = owners_.try_emplace(key, file);
    if (is_new || owned->second == file) return {};
    return Error{ErrorCode::kRefused, owned->second + " and " + file + " both give key " + Escape(key)};
  }
  std::vector<std::string> KeysOf(const std::string& file) {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> keys;
    for (const auto& [key, owner] : owners_) {
      if (owner == file) keys.push_back(key);
    }
    return keys;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> owners_;
};

}  // namespace sprockets
