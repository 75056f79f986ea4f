// The sidecar: the loop, and the wiring of its parts: door, router, link to Redis, writer thread; the order in which
// they start and stop. Loop thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <nlohmann/json_fwd.hpp>
#include <uv.h>

#include "sidecar/config.h"
#include "sidecar/core/router.h"
#include "sidecar/core/seal_policy.h"
#include "sidecar/core/traffic.h"
#include "sidecar/disk/folder_reader.h"
#include "sidecar/disk/spill_thread.h"
#include "sidecar/disk/start_up.h"
#include "sidecar/door/clients.h"
#include "sidecar/door/listener.h"
#include "sidecar/loop_clock.h"
#include "sidecar/redis/link.h"
#include "sidecar/uv_handles.h"

namespace sprockets {

/// Exit codes of the program.
enum SidecarExit { kSidecarStopped = 0, kSidecarUsage = 2, kSidecarUnusable = 3, kSidecarRefused = 4 };

class Sidecar : private RedisSink,
                private SpillSink,
                private RouterNotices,
                private RedisLinkEvents,
                private AdminCommands {
 public:
  explicit Sidecar(SidecarConfig config);
  ~Sidecar() override;

  /// Runs until SIGTERM or SIGINT; returns the exit code.
  int Run();

 private:
  Status Open();
  Result<FolderReader> ReadEarlierLives(const SpillFolder& folder);
  void CloseLoop();

  // Once a turn, before the loop sleeps: everything that the turn queued leaves now, together.
  void EndTurn();
  void EverySecond();
  void CollectSpilled();
  void BeginStop();
  void ContinueStop();
  void LogDegradation();
  void AnswerWaitingStatus();
  nlohmann::ordered_json RedisStatus() const;
  std::string StatusJson(const SpillReport& report) const;

  // RedisSink, SpillSink, RouterNotices
  void Send(const PendingEvent& event) override { link_->Send(event.wire); }
  void ReadTail(StreamState& stream, std::optional<StreamId> before, int64_t count) override {
    link_->ReadTail(stream, before, count);
  }
  void Spill(SpillRequest request) override;
  void ProbeRedis(std::string_view why) override;
  void UnknownForgotten() override;
  void StreamRefused(const StreamState& stream, std::string_view why) override;
  void StreamAcceptedAgain(const StreamState& stream) override;

  // RedisLinkEvents
  void RecordConnection(const ConnectionId& live, const std::vector<ConnectionId>& dead) override {
    spill_->Queue(RecordJob{live, dead});
  }
  void OnLinkReady(const ConnectionId& connection, bool earlier_fenced) override;
  void OnLinkLost() override;
  void OnProbe(bool passed) override;
  void OnLanded(std::string_view id) override;
  void OnNil() override { router_->OnNil(); }
  void OnXaddError(std::string_view error) override;
  void OnTail(StreamState& stream, const std::vector<TailEntry>& entries, bool more) override;
  void OnTailError(StreamState& stream, std::string_view error) override;
  void OnUnusable(const std::string& why) override;

  // AdminCommands
  void AnswerStatus(ReplyTo to) override;
  void AnswerSeal(ReplyTo to) override;
  ServerInfo Info() const override;

  const SidecarConfig config_;
  uv_loop_t loop_{};
  LoopClock clock_{&loop_};
  std::optional<FileLock> lock_;
  std::unique_ptr<Router> router_;
  std::unique_ptr<SpillThread> spill_;
  std::unique_ptr<RedisLink> link_;
  std::unique_ptr<Clients> clients_;
  std::unique_ptr<Listener> listener_;
  UvHandle<uv_async_t> spilled_;  // the writer thread has completions
  UvHandle<uv_prepare_t> end_of_turn_;
  UvHandle<uv_signal_t> sigterm_;
  UvHandle<uv_signal_t> sigint_;
  std::unique_ptr<UvTimer> every_second_;
  std::unique_ptr<UvTimer> fence_wait_;
  std::unique_ptr<UvTimer> stop_timer_;

  uint64_t next_token_ = 1;
  std::unordered_map<uint64_t, ReplyTo> admin_waiting_;  // SEAL that the writer thread answers
  std::vector<ReplyTo> status_waiting_;                  // STATUS that the writer thread's next report answers
  bool describing_ = false;                              // that report was asked for
  int64_t asked_ms_ = 0;                                 // when, on the loop's clock
  int64_t described_ms_ = 0;                             // when the last one came, on the wall clock
  SpillReport last_report_;
  bool folder_read_ = false;  // what earlier lives left
  bool seal_requested_ = false;
  bool redis_refuses_ = false;                 // and the log has said so
  int64_t redis_since_ms_ = clock_.Wall().ms;  // when Redis was last lost or found, on the wall clock

  int64_t seconds_ = 0;
  const int64_t started_ms_ = clock_.Wall().ms;
  int64_t first_spill_ms_ = 0;  // into the active file
  int64_t last_spill_ms_ = 0;
  RouterCounters last_counters_;  // as of the last line of the log
  bool stopping_ = false;
  int exit_code_ = kSidecarStopped;
};

}  // namespace sprockets
