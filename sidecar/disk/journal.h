// The journal of --ack disk as the loop knows it: rows go to the writer thread, and come back page by page from a
// reader of its own. The active file belongs to its writer, so what it holds is sealed before it is read. Loop thread
// only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <uv.h>

#include "shared/ahead/forwarder.h"
#include "shared/ahead/journal.h"
#include "shared/spill/folder.h"
#include "sidecar/disk/disk.h"
#include "sidecar/disk/journal_reader.h"
#include "sidecar/loop_clock.h"
#include "sidecar/uv_handles.h"

namespace sprockets {

class Journal : public JournalSource {
 public:
  /// The folder and the disk must outlive it.
  Journal(uv_loop_t* loop, const LoopClock* clock, const SpillFolder& folder, Disk* disk);
  ~Journal() override;

  void Start(Forwarder* forwarder) { forwarder_ = forwarder; }
  /// Once a turn of the loop.
  void Submit() { reader_.Submit(); }
  /// A file was sealed, or could not be.
  void OnSealed(const Sealed& sealed);
  /// Once a second: tries again to seal what is waited for.
  void KeepHouse();
  void Stop();

  // JournalSource
  void ReadUp(AheadStream& stream, uint64_t request, StreamId above, StreamId up_to) override;
  void ReadDown(AheadStream& stream, uint64_t request, StreamId above, StreamId below) override;
  void Move(AheadStream& stream, std::vector<JournalRow> rows) override;
  void Reject(AheadStream& stream, int64_t ticket, std::string_view why) override;

 private:
  void Read(AheadStream& stream, JournalRead read);
  void WaitForSeal(JournalRead read);
  void CollectPages();

  const LoopClock* const clock_;
  Disk* const disk_;
  Forwarder* forwarder_ = nullptr;
  UvHandle<uv_async_t> pages_;
  JournalReader reader_;
  std::map<std::string, StreamId, std::less<>> readable_;  // of each stream, the highest id in files without a writer
  std::vector<JournalRead> waiting_;                       // for the active file to be sealed
  bool sealing_ = false;
  std::map<uint64_t, JournalRead> parts_;  // reads of which only the beginning can be read now, by request
};

}  // namespace sprockets
