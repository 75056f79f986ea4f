// One client at the door: reads commands, keeps the replies in the order of the requests whichever way each command
// went, and is cut off when it stalls. Loop thread only.
//
// Events and answers of the door wait in slots; relayed commands are answered by the client's own line to Redis. Only
// one of the two has anything outstanding: a command that goes the other way waits, unread, until it has not.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <uv.h>

#include "shared/base/fifo.h"
#include "shared/redis/resp.h"
#include "sidecar/core/relay.h"
#include "sidecar/core/relay_session.h"
#include "sidecar/core/traffic.h"
#include "sidecar/door/client_info.h"
#include "sidecar/door/routes.h"
#include "sidecar/uv_handles.h"

namespace sprockets {

class Clients;

class Connection : public ReplySink, private RelayLineOwner {
 public:
  Connection(Clients* clients, UvHandle<uv_pipe_t> pipe, int64_t id, size_t max_command_bytes);
  ~Connection() override;

  void Start();
  /// The answer to request `slot`. Also after the client has gone.
  void Reply(uint64_t slot, std::string_view resp) override;
  void Flush();
  void Resume();
  /// Cuts off a client that stalls with half a command, or does not read.
  void CheckStall();
  void StopReading();
  /// Closes at once; unanswered requests are still counted until they are answered.
  void Close();

  bool closed() const { return pipe_ == nullptr; }
  bool idle() const { return slots_.empty() && session_.unanswered() == 0 && out_.empty() && writing_.empty(); }
  /// Set by Clients, so that a connection stands in each of its lists once.
  bool flush_wanted = false;
  bool resume_wanted = false;

 private:
  struct Slot {
    bool ready = false;
    std::string resp;
  };

  static Connection* From(void* data) { return static_cast<Connection*>(data); }
  static void OnAllocate(uv_handle_t* handle, size_t, uv_buf_t* buffer);
  static void OnRead(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer);
  void OnBytes(char* data, size_t size);
  size_t Process(std::string_view input);
  enum class Handled { kDone, kLater, kLast };
  Handled HandleCommand(std::string_view input);
  bool SaysNothingElse() const;
  bool MustWait(const Route& route);
  void AcceptEvent(std::string_view input);
  Handled AnswerHere();
  void RelayCommand(Route route, std::string_view input);
  void Skip();
  void AbortTransaction();
  bool MayHandle() const;
  /// Does the next command wait for the answers to those before it, which went another way?
  bool Waits() const { return (waits_for_slots_ && !slots_.empty()) || (waits_for_line_ && session_.unanswered() > 0); }
  bool MayRead();
  ReplyTo NextSlot();
  size_t UnsentBytes() const { return out_.size() + writing_.size(); }

  // RelayLineOwner
  void OnRelayBytes(std::string_view bytes) override;
  void OnRelayLost(std::string_view why) override;
  bool SpareRelayLine() override;
  void EndLine();
  void Keep(std::string_view rest);
  void Pause();
  void ReplyNow(std::string_view resp);
  /// Not before the relayed commands that came earlier, nor into the middle of what Redis sends.
  bool MayAnswerSlots() const { return session_.unanswered() == 0 && !session_.in_passed_reply(); }
  void PopReady();
  void WriteRest();
  void CloseAfterReplies();
  void ForgetIfDone();
  bool TakesTooLong(int64_t now);
  bool HasLeft() const;

  Clients* const clients_;
  UvHandle<uv_pipe_t> pipe_;
  ClientInfo client_;
  CommandParser parser_;
  std::string kept_;  // an unfinished command, or commands not yet looked at
  bool reading_ = false;
  bool closing_ = false;  // no more commands; close when the replies are out
  int64_t last_read_ms_ = 0;
  uint64_t commands_ = 0;  // that came in whole
  uint64_t commands_at_check_ = 0;
  int64_t half_command_ms_ = 0;  // so long the same one has been on its way
  int64_t checked_ms_ = 0;

  std::unique_ptr<RelayLine> line_;  // made for the first relayed command
  bool line_paused_ = false;         // the client reads too slowly for what Redis sends
  RelaySession session_;
  std::optional<SkippedCommand> skippable_;  // the last command that Redis has not answered is one
  bool waits_for_slots_ = false;             // the next command does, and is not looked at again before
  bool waits_for_line_ = false;

  Fifo<Slot, 256> slots_;  // requests not yet answered, oldest first
  uint64_t first_slot_ = 0;
  size_t waiting_bytes_ = 0;  // of replies behind one that is not there yet
  std::string out_;           // replies in order, not yet given to the kernel
  std::string writing_;       // given to libuv, which keeps a pointer to it
  uv_write_t write_request_{};
  int64_t last_write_ms_ = 0;
};

}  // namespace sprockets
