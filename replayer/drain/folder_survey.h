// What lies in a spill folder, without changing anything: which files, which streams in them, how much waits and since
// when. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "shared/spill/folder.h"

namespace sprockets {

struct StreamSurvey {
  std::string name;
  int64_t left = 0;  // rows that wait; in a journal, events
  int64_t rejected = 0;
  int64_t oldest_ms = 0;  // when the first row that waits was received; 0: none waits
};

struct FileSurvey {
  SpillFileInfo info;
  std::vector<StreamSurvey> streams;
  std::string not_read;     // why its rows are not known; empty: they are
  bool is_journal = false;  // of --ack disk: what waits is forwarded under its ids; false also where it is not read

  /// Everything in it is in Redis.
  bool is_done() const { return info.state == SpillFileInfo::State::kDrained; }
};

/// Every file of the folder. Rows are read of sealed files (and of drained ones, for what was rejected); an active file
/// is its sidecar's, and a suspect one would have to be recovered first, which would change it.
Result<std::vector<FileSurvey>> SurveyFolder(const SpillFolder& folder);

/// "sealed", "suspect", …
std::string_view StateWord(const SpillFileInfo& info);

/// The file that a user means by a path, a name in the folder, or "spill-000007". kNotFound.
Result<SpillFileInfo> FindSpillFile(const SpillFolder& folder, const std::string& text);

}  // namespace sprockets
