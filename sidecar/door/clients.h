// The clients at the door: lets them in up to a limit, hands their events in, and lets those read on that had to wait;
// what they hold in memory together is bounded. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <uv.h>

#include "sidecar/core/relay.h"
#include "sidecar/core/skip_rules.h"
#include "sidecar/core/traffic.h"
#include "sidecar/door/admin_commands.h"
#include "sidecar/door/connection.h"
#include "sidecar/door/routes.h"
#include "sidecar/loop_clock.h"
#include "sidecar/uv_handles.h"

namespace sprockets {

/// Half-read commands of all clients together. When these take too much memory, one client at a time may go on, until
/// its command is done; the others wait.
class BufferBudget {
 public:
  explicit BufferBudget(int64_t most_bytes) : most_bytes_(most_bytes) {}

  void Changed(int64_t by) { bytes_ += by; }
  /// May this client, whose half-read command has grown large, go on?
  bool MayGoOn(const Connection* client);
  void Done(const Connection* client);

 private:
  const int64_t most_bytes_;
  int64_t bytes_ = 0;
  const Connection* goes_on_ = nullptr;  // although there is too much already
};

class Clients {
 public:
  /// All must outlive it.
  Clients(EventSink* events, AdminCommands* admin, Relay* relay, SkipBook* skips, Routes routes, LoopClock* clock,
          size_t max_event_bytes);

  /// One more; beyond the limit it is told so and let go.
  void Add(UvHandle<uv_pipe_t> pipe);

  // At the end of a turn.
  /// Lets those read on that had to wait, if there is room.
  void Resume();
  /// Sends what the turn has answered, and forgets who has gone.
  void Flush();

  /// Cuts off those that stall. Once a second.
  void CheckStalls();
  /// From now on no command is taken.
  void StopReading();
  size_t size() const { return clients_.size(); }
  /// So many have more to say, and wait until there is room for it.
  size_t paused() const { return to_resume_.size(); }
  /// Nobody waits for an answer, and all answers have been sent.
  bool all_idle() const;
  /// What is answered is sent, if it can be at once.
  void Close();

  // For a client.
  bool CanAccept() const { return !stopped_ && events_->CanAccept(); }
  void Accept(ReplyTo to, std::span<const std::string_view> args, std::string_view body) {
    events_->Accept(to, args, body, clock_->Wall(), clock_->Now());
  }
  void RejectTooLarge(ReplyTo to) { events_->RejectTooLarge(to); }
  AdminCommands& admin() { return *admin_; }
  Relay& relay() { return *relay_; }
  SkipBook& skips() { return *skips_; }
  const Routes& routes() const { return routes_; }
  ServerInfo Info() const;
  int64_t NowMs() const { return clock_->Now().ms; }
  int64_t TurnUs() { return clock_->TurnUs(); }
  /// Something is to be written; Connection::Flush is called at the end of the turn.
  void WantsFlush(Connection* client);
  /// It read as much as it may; Connection::Resume is called when there is room again.
  void WantsResume(Connection* client);
  /// Closed, and nothing of it is unanswered: it is deleted at the end of the turn.
  void Forget(Connection* client);
  /// A buffer that all clients read into, one at a time.
  std::span<char> ReadBuffer() { return read_buffer_; }
  BufferBudget& buffers() { return buffers_; }

 private:
  std::vector<Connection*> All() const;

  EventSink* const events_;
  AdminCommands* const admin_;
  Relay* const relay_;
  SkipBook* const skips_;
  const Routes routes_;
  LoopClock* const clock_;
  const size_t max_command_bytes_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> clients_;
  std::vector<Connection*> to_flush_;
  std::vector<Connection*> flushing_;  // scratch, so that no turn allocates
  std::vector<Connection*> to_resume_;
  std::vector<std::unique_ptr<Connection>> forgotten_;
  std::vector<char> read_buffer_;
  BufferBudget buffers_;
  int64_t next_id_ = 1;
  bool stopped_ = false;
};

}  // namespace sprockets
