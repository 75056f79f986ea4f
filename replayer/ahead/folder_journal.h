// The journals of a folder as the forwarder asks for them: pages are read, moved events written, and what Redis will
// not take is kept aside. Nothing is done inside the forwarder's calls, all of it in Work. The caller holds the
// folder's lock. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "replayer/ahead/move_writer.h"
#include "replayer/drain/report.h"
#include "shared/ahead/forwarder.h"
#include "shared/ahead/journal.h"
#include "shared/base/result.h"
#include "shared/journal/journal_pages.h"
#include "shared/spill/folder.h"

namespace sprockets {

class FolderJournal : public JournalSource {
 public:
  /// All must outlive it.
  FolderJournal(const SpillFolder& folder, StateFile* state, MoveWriter::Origin origin, DrainReport* report)
      : folder_(folder), report_(*report), pages_(folder), moves_(folder, state, std::move(origin)) {}

  /// Does what was asked for. False: nothing was, or a file cannot be opened now and is to be tried again.
  Result<bool> Work(Forwarder* forwarder);
  /// Writes down what was rejected, as Work does. Before any mark goes past it.
  Status KeepRejected();
  /// At the end.
  Status Close();

  // JournalSource
  void ReadUp(AheadStream& stream, uint64_t request, StreamId above, StreamId up_to) override;
  void ReadDown(AheadStream& stream, uint64_t request, StreamId above, StreamId below) override;
  void Move(AheadStream& stream, std::vector<JournalRow> rows) override;
  void Reject(AheadStream& stream, int64_t ticket, std::string_view why) override;

 private:
  struct Moved {
    AheadStream* stream;
    std::vector<JournalRow> rows;
  };
  struct Rejected {
    std::string stream;
    int64_t ticket;
    std::string why;
  };
  void Read(AheadStream& stream, JournalRead read);
  Status Write(Moved moved, Forwarder* forwarder);
  Status Keep(const Rejected& rejected);
  Status MakeReadable(const AheadStream& stream, const JournalRead& read, Forwarder* forwarder);

  const SpillFolder& folder_;
  DrainReport& report_;
  JournalPages pages_;
  MoveWriter moves_;
  std::map<std::string, StreamId, std::less<>> readable_;  // of each stream, the highest id in files without a writer
  std::deque<JournalRead> reads_;
  std::deque<Moved> moved_;
  std::deque<Rejected> rejected_;
};

}  // namespace sprockets
