// The journal of --ack disk as the loop knows it: rows go to the writer thread, and come back page by page from a
// reader. The active file belongs to its writer, so what it holds is sealed before it is read. Pure; loop thread only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "shared/ahead/forwarder.h"
#include "shared/ahead/journal.h"
#include "shared/base/moment.h"
#include "sidecar/core/traffic.h"

namespace sprockets {

/// What others do for the journal, on threads of their own.
class JournalWork {
 public:
  virtual ~JournalWork() = default;
  /// Journal::OnPage follows, unless another read of the stream comes first. No writer has the file of its rows open.
  virtual void ReadPage(JournalRead read) = 0;
  /// Journal::OnSealed follows.
  virtual void SealActive() = 0;
  /// A moved event under its new id. Its outcome goes to the acceptor.
  virtual void SpillMoved(SpillRequest request) = 0;
  virtual void KeepRejected(const std::string& stream, int64_t ticket, std::string_view why) = 0;
};

class Journal : public JournalSource {
 public:
  explicit Journal(JournalWork* work) : work_(work) {}

  void Start(Forwarder* forwarder) { forwarder_ = forwarder; }
  void OnPage(const std::string& stream, JournalPage page);
  /// The active file was sealed, or could not be.
  void OnSealed(bool sealed);
  /// Once a second: tries again to seal what is waited for.
  void KeepHouse();
  void Stop() { waiting_.clear(); }

  // JournalSource
  void ReadUp(AheadStream& stream, uint64_t request, StreamId above, StreamId up_to) override;
  void ReadDown(AheadStream& stream, uint64_t request, StreamId above, StreamId below) override;
  void Move(AheadStream& stream, std::vector<JournalRow> rows) override;
  void Reject(AheadStream& stream, int64_t ticket, std::string_view why) override;

 private:
  void Read(AheadStream& stream, JournalRead read);
  void WaitForSeal(JournalRead read);

  JournalWork* const work_;
  Forwarder* forwarder_ = nullptr;
  std::map<std::string, StreamId, std::less<>> readable_;  // of each stream, the highest id in files without a writer
  std::vector<JournalRead> waiting_;                       // for the active file to be sealed
  bool sealing_ = false;
  std::map<uint64_t, JournalRead> parts_;  // reads of which only the beginning can be read now, by request
};

}  // namespace sprockets
