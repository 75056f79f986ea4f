// rebuild --from-journal: the options that it has for itself, and what is said about it.
#pragma once

#include <filesystem>

#include "replayer/ahead/from_journal.h"
#include "replayer/option_table.h"
#include "replayer/outcome.h"
#include "replayer/structure/rebuild_run.h"
#include "shared/base/result.h"

namespace sprockets {

class FromJournal {
 public:
  void AddOptions(OptionTable& options);
  /// Set as soon as the option was read.
  const bool* is_wanted() const { return &is_wanted_; }
  Status Check() const;
  /// `run`: what both kinds of rebuild have.
  Result<Outcome> Run(const RebuildRunOptions& run, const Output& output);

 private:
  std::filesystem::path folder_;
  bool is_wanted_ = false;
  bool has_streams_ = false;
  FromJournalOptions options_;
};

}  // namespace sprockets
