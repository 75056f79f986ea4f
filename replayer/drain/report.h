// What a drain did: the counts of its summary, how far it is, and what it had to say on the way. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replayer/exit_code.h"
#include "replayer/terminal/progress.h"
#include "shared/base/log.h"

namespace sprockets {

/// How a run ended, from best to worst: the worst that happened is the run's result.
enum class DrainResult { kVerified, kUnproven, kRejected, kLeft, kRefused, kUnreachable };

struct DrainCounts {
  uint64_t read = 0;           // rows of spill files
  uint64_t landed = 0;         // sent, and Redis answered with an id
  uint64_t already_there = 0;  // in doubt, and found in the stream
  uint64_t unproven = 0;       // in doubt, not found, and absence was no proof
  uint64_t rejected = 0;       // kept aside, by this drain or an earlier one: Redis breaks the connection over them
  uint64_t left = 0;           // rows that still wait

  void Add(const DrainCounts& other);
};

/// The worst of `worst` and of what the counts say.
DrainResult Judge(const DrainCounts& counts, DrainResult worst);

/// "verified" and so on, as the summary prints it.
std::string_view ResultWord(DrainResult result);
ExitCode ExitCodeOf(DrainResult result);

/// Of journals, whose events have their entry ids already: shared/ahead has the words.
struct JournalCounts {
  uint64_t landed = 0;     // sent, and taken under their ids
  uint64_t overtaken = 0;  // by other writers' entries, and moved to new ids
  uint64_t unproven = 0;   // nobody can say whether they had landed; moved or skipped
  uint64_t reported = 0;   // had landed, are missing without proof, and were not sent again
  uint64_t rejected = 0;   // Redis will not take them
  uint64_t refills = 0;    // times that a stream went back to rows that had landed before
  struct Refused {
    std::string stream;
    std::string why;
  };
  std::vector<Refused> refused;  // streams

  void Add(const JournalCounts& other);
};

class DrainReport {
 public:
  explicit DrainReport(ProgressStyle style) : progress_(style, "drain") {}

  /// What cannot be said by counts alone.
  void Worsen(DrainResult result) { worst_ = std::max(worst_, result); }
  /// The worst of everything.
  DrainResult result() const { return Judge(counts, worst_); }

  void Warn(std::string_view event, std::initializer_list<LogField> fields);
  void ShowProgress() { progress_.Advance(counts.landed + counts.already_there); }
  Progress& progress() { return progress_; }

  DrainCounts counts;                     // journals' rows among them
  std::optional<JournalCounts> journals;  // nothing: there are none

 private:
  Progress progress_;
  DrainResult worst_ = DrainResult::kVerified;
};

}  // namespace sprockets
