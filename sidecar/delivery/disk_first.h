// --ack disk: every event is committed to a journal, with its final entry id, before it is acknowledged; then it is
// forwarded, and what Redis forgets is forwarded again. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shared/ahead/forwarder.h"
#include "shared/journal/journal_contents.h"
#include "sidecar/core/acceptor.h"
#include "sidecar/core/journal.h"
#include "sidecar/delivery/delivery.h"
#include "sidecar/disk/disk.h"
#include "sidecar/disk/journal_reader.h"
#include "sidecar/loop_clock.h"
#include "sidecar/redis/ahead_link.h"
#include "sidecar/redis/tail_reader.h"
#include "sidecar/uv_handles.h"

namespace sprockets {

class DiskFirst : public Delivery, private ForwarderNotices, private JournalWork {
 public:
  struct Options {
    AcceptorOptions acceptor;
    ForwarderOptions forwarder;
    std::vector<EntryTag> tags;  // this life's last
    int64_t redis_timeout_ms = 250;
    std::optional<TailReader::Options> tails = {};  // a life with --ack redis was here lately
  };
  /// `contents` and `marks`: what earlier lives left.
  DiskFirst(uv_loop_t* loop, const LoopClock* clock, Options options, const SpillFolder& folder,
            const JournalContents& contents, const LandedMarks& marks, Disk* disk);
  ~DiskFirst() override;

  // Delivery
  EventSink& events() override { return acceptor_; }
  const IdentityHasher& hasher() const override { return acceptor_.hasher(); }
  void Start(std::function<void(const std::string&)> on_unusable, std::function<void()> on_lost) override;
  void EndTurn() override;
  void EverySecond() override;
  void OnEarlierEvents(const EarlierEvents& events, bool complete) override {
    acceptor_.OnEarlierEvents(events, complete);
  }
  void OnSpillOutcome(SpillOutcome outcome) override;
  void OnRecorded(const Recorded&) override {}
  void OnSealed(const Sealed& sealed) override { journal_.OnSealed(sealed.status.ok()); }
  void OnJournalBlocked(const JournalBlocked& blocked) override;
  void OnLandedNoted(const LandedNoted& noted) override { unconfirmed_ -= noted.jobs; }
  Status Hold(int64_t for_ms) override;
  Status Refill(std::string_view stream) override;
  bool settles() const override { return forwarder_.hold_begins() || unconfirmed_ > 0 || confirm_wanted_; }
  void Stop() override;
  size_t unanswered() const override { return acceptor_.unanswered(); }
  bool nothing_in_flight() const override { return true; }
  int64_t healthy_since_ms() const override { return 0; }
  const std::string& address() const override { return link_.address(); }
  DeliveryFacts Facts(WallTime now) const override;
  DeliveryProbes Probes() const override;
  void MeasureAnswers() override;
  void LogStopped() const override;

 private:
  // ForwarderNotices
  void Ready(const Incarnation& incarnation, bool guarded, bool is_new) override;
  void Decided(const AheadStream& stream, const Placing::Counts& counts) override;
  void StreamRefused(const AheadStream& stream, std::string_view why) override;

  // JournalWork
  void ReadPage(JournalRead read) override { reader_.Queue(std::move(read)); }
  void SealActive() override { disk_->Seal(0); }
  void SpillMoved(SpillRequest request) override;
  void KeepRejected(const std::string& stream, int64_t ticket, std::string_view why) override;

  void CollectPages();
  JournalFacts Journaled(WallTime now) const;

  const LoopClock* const clock_;
  Disk* const disk_;
  AheadLink link_;
  UvHandle<uv_async_t> pages_read_;
  JournalReader reader_;
  Journal journal_;
  Forwarder forwarder_;
  std::unique_ptr<TailReader> tails_;  // null: no stream is read
  Acceptor acceptor_;
  int64_t marked_ms_ = 0;  // when marks were last written down
  bool was_guarded_ = true;
  std::string refusal_;  // why the disk refused the last event; empty: it did not
  LoopTime refused_at_;
  bool confirm_wanted_ = false;                            // that what was forgotten is on disk
  int unconfirmed_ = 0;                                    // such wishes, on their way
  mutable std::vector<const AheadStream*> named_streams_;  // that have figures of their own, as they were met
  bool has_salvaged_ = false;                              // rows that have not been looked for
};

}  // namespace sprockets
