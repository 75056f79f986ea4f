// What the sidecar skipped while Redis was away, for the commands that restore it. One thread.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "replayer/option_table.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/structure/key_owners.h"
#include "shared/base/result.h"
#include "shared/spill/skipped_key.h"

namespace sprockets {

class SkippedList {
 public:
  /// --spill-dir, which need not be given: then nothing is known of what was skipped.
  void AddOption(OptionTable& options);

  /// Before anybody looks at the database. Whoever was told that a write was done may commit its transaction a moment
  /// later, so what was skipped a moment ago is waited for. A folder that cannot be opened is said, and is no error.
  Status Read();
  /// What a set allows to be missing is no allowance for a key that lacks a write: it is asked for as it should be.
  void Demand(std::vector<Structure>* structures) const;
  /// These keys of the list are as the database says now: those that `structure` names, and those that `owners` saw it
  /// give. What was skipped since Read stays on the list.
  Status StrikeOff(const Structure& structure, KeyOwners& owners);

  /// What was struck off, and what is left of what was read: lines, and the same as JSON.
  std::string Text() const;
  nlohmann::ordered_json Json() const;
  bool empty() const { return read_.empty(); }

 private:
  std::filesystem::path folder_;  // empty: not given
  std::vector<SkippedKey> read_;
  std::set<std::string> restored_;
};

}  // namespace sprockets
