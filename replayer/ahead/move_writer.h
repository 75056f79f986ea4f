// Writes events that other writers have overtaken into a new journal, under their new ids: before they are sent. The
// caller holds the folder's lock. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shared/ahead/journal.h"
#include "shared/base/result.h"
#include "shared/spill/file.h"
#include "shared/spill/folder.h"
#include "shared/spill/state_file.h"

namespace sprockets {

class MoveWriter {
 public:
  /// What the folder's journals say of themselves.
  struct Origin {
    std::string producer;                      // the newest one's, as are database and server
    std::vector<std::string> event_id_fields;  // of all, the newest one's first
    std::optional<int> database;
    std::string server;
  };
  MoveWriter(const SpillFolder& folder, StateFile* state, Origin origin)
      : folder_(folder), state_(state), origin_(std::move(origin)) {}

  /// One commit. Gives each row its ticket. After an error nobody knows whether they are stored: nothing may be sent,
  /// and the next run finds out.
  Status Write(std::vector<JournalRow>* rows);
  /// What was written can be read from now on.
  Status Seal();

 private:
  Result<std::string> EventIdFieldOf(const JournalRow& row) const;
  Status Open(const std::string& event_id_field);
  Status WritePart(JournalRow* rows, size_t count, const std::string& event_id_field);

  const SpillFolder& folder_;
  StateFile* const state_;
  const Origin origin_;
  std::unique_ptr<SpillWriter> file_;
  std::string event_id_field_;  // of file_
};

}  // namespace sprockets
