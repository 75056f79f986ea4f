#include "sidecar/door/connection.h"

#include <algorithm>
#include <cstring>
#include <poll.h>

#include "shared/base/result.h"
#include "sidecar/door/clients.h"
#include "sidecar/door/local_commands.h"

namespace sprockets {

namespace {

constexpr size_t kMaxUnansweredRequests = 16 * 1024;  // of one client, then it is not read any more
constexpr size_t kMaxUnsentBytes = 1 << 20;           // of one client's replies, likewise
constexpr size_t kMostRelayedBytes = 256 * 1024;      // unsent, then Redis waits
constexpr int64_t kStallMs = 10'000;                  // half a command, or unread replies, for that long: cut off
constexpr int64_t kCommandMs = 30'000;                // one command, from its first byte to its last
constexpr size_t kReadStep = 64 * 1024;
constexpr std::string_view kNullOfResp2 = "$-1\r\n";
constexpr std::string_view kNullOfResp3 = "_\r\n";
constexpr std::string_view kLostUnsent = "-RETRY the connection to Redis was lost before this command was executed\r\n";
constexpr std::string_view kLostInFlight =
    "-UNKNOWN the connection to Redis was lost: this command may have been executed\r\n";

}  // namespace

Connection::Connection(Clients* clients, UvHandle<uv_pipe_t> pipe, int64_t id, size_t max_command_bytes)
    : clients_(clients), pipe_(std::move(pipe)), parser_(max_command_bytes) {
  client_.id = id;
  checked_ms_ = clients_->NowMs();
  pipe_->data = this;
}

Connection::~Connection() {
  SPROCKETS_ASSERT(closed() && slots_.empty());
}

void Connection::Start() {
  last_read_ms_ = last_write_ms_ = clients_->NowMs();
  if (reading_ || closing_ || closed()) return;
  reading_ = uv_read_start(reinterpret_cast<uv_stream_t*>(pipe_.get()), OnAllocate, OnRead) == 0;
  if (!reading_) Close();
}

void Connection::StopReading() {
  if (reading_) uv_read_stop(reinterpret_cast<uv_stream_t*>(pipe_.get()));
  reading_ = false;
}

// ---- Reading

// Without an unfinished command the bytes go into the common buffer, so that an idle client costs no memory.
void Connection::OnAllocate(uv_handle_t* handle, size_t, uv_buf_t* buffer) {
  Connection* connection = From(handle->data);
  if (connection->kept_.empty()) {
    const std::span<char> common = connection->clients_->ReadBuffer();
    *buffer = uv_buf_init(common.data(), static_cast<unsigned>(common.size()));
    return;
  }
  std::string& kept = connection->kept_;
  const size_t size = kept.size();
  const size_t wanted = std::max(connection->parser_.bytes_wanted(), size + 1);
  // A large command is announced by its header, but only what comes is paid for: room grows at most twofold.
  const size_t room = std::clamp(wanted - size, kReadStep, std::max(size, kReadStep));
  kept.resize(size + room);
  *buffer = uv_buf_init(kept.data() + size, static_cast<unsigned>(room));
}

void Connection::OnRead(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
  Connection* connection = From(stream->data);
  if (connection == nullptr) return;
  // libuv reports a hang-up that comes along with the last bytes without a buffer, whatever OnAllocate gave before.
  if (buffer->base == nullptr) return connection->Close();
  const bool common = buffer->base == connection->clients_->ReadBuffer().data();
  if (!common) {
    // OnAllocate has grown the string; what did not come is taken off again.
    const size_t begin = static_cast<size_t>(buffer->base - connection->kept_.data());
    connection->kept_.resize(begin + static_cast<size_t>(std::max<ssize_t>(size, 0)));
    if (size > 0) connection->clients_->buffers().Changed(size);
  }
  if (size == 0) return;
  // Whoever has only finished sending still reads: it gets the answers to all that it has sent.
  if (size == UV_EOF && !connection->idle()) return connection->CloseAfterReplies();
  if (size < 0) return connection->Close();
  connection->OnBytes(buffer->base, static_cast<size_t>(size));
}

void Connection::OnBytes(char* data, size_t size) {
  last_read_ms_ = clients_->NowMs();
  if (kept_.empty()) {
    const std::string_view input(data, size);
    Keep(input.substr(Process(input)));
  } else {
    const size_t consumed = Process(kept_);
    clients_->buffers().Changed(-static_cast<int64_t>(consumed));
    kept_.erase(0, consumed);
    if (kept_.empty()) kept_.shrink_to_fit();
  }
  if (closed()) return;
  // Whoever waits for an answer of its own lets others go on meanwhile.
  if (kept_.size() <= kReadStep || Waits()) clients_->buffers().Done(this);
  if (!MayRead()) Pause();
}

void Connection::Keep(std::string_view rest) {
  if (rest.empty() || closed()) return;
  kept_ = rest;
  clients_->buffers().Changed(static_cast<int64_t>(rest.size()));
}

bool Connection::MayHandle() const {
  if (Waits()) return false;
  const uint64_t unrelayed = line_ ? line_->queued_bytes() - line_->sent_bytes() : 0;
  return clients_->CanAccept() && slots_.size() + session_.unanswered() < kMaxUnansweredRequests &&
         UnsentBytes() + waiting_bytes_ < kMaxUnsentBytes && unrelayed < kMaxUnsentBytes;
}

bool Connection::MayRead() {
  return MayHandle() && (kept_.size() <= kReadStep || clients_->buffers().MayGoOn(this));
}

void Connection::Pause() {
  StopReading();
  clients_->WantsResume(this);
}

void Connection::Resume() {
  if (closed() || closing_) return;
  if (MayHandle() && !kept_.empty()) OnBytes(nullptr, 0);
  if (closed() || closing_) return;
  if (MayRead()) {
    Start();
  } else {
    clients_->WantsResume(this);
  }
}

// Handles every whole command at the beginning of `input`; returns how many bytes are done with.
size_t Connection::Process(std::string_view input) {
  size_t done = 0;
  while (done < input.size() && !closing_ && MayHandle()) {
    const std::string_view rest = input.substr(done);
    const CommandParser::Outcome outcome = parser_.Parse(rest);
    if (outcome == CommandParser::Outcome::kProtocolError) {
      ReplyNow("-ERR " + parser_.error() + "\r\n");
      CloseAfterReplies();
      return input.size();
    }
    ++commands_;
    if (outcome == CommandParser::Outcome::kComplete) {
      const Handled handled = HandleCommand(rest);
      if (handled == Handled::kLater) break;
      if (handled == Handled::kLast) {
        CloseAfterReplies();
        return input.size();
      }
    }
    if (outcome == CommandParser::Outcome::kTooLarge) {
      // Without it, its transaction would be executed by half.
      if (client_.transaction == ClientInfo::Transaction::kOpen) AbortTransaction();
      clients_->RejectTooLarge(NextSlot());
    }
    done += parser_.consumed();
    if (outcome == CommandParser::Outcome::kIncomplete) {
      --commands_;
      break;
    }
  }
  return done;
}

Connection::Handled Connection::HandleCommand(std::string_view input) {
  const auto args = parser_.args();
  if (IsCommand(args[0], "xadd") && args.size() > 2 && args[2] == "*" && SaysNothingElse()) {
    waits_for_slots_ = waits_for_line_ = false;
    AcceptEvent(input);
    return Handled::kDone;
  }
  const bool available = line_ != nullptr || clients_->relay().available();
  Route route = clients_->routes().Of(args, client_, session_, available);
  if (MustWait(route)) return Handled::kLater;
  Routes::Follow(args, route, &client_);
  switch (route.way) {
    case Route::Way::kEvent:
      AcceptEvent(input);
      return Handled::kDone;
    case Route::Way::kLocal:
      return AnswerHere();
    case Route::Way::kRelay:
      RelayCommand(std::move(route), input);
      return Handled::kDone;
    case Route::Way::kSkip:
      clients_->skips().Remember(NextSlot(), *std::move(route.skipped));
      return Handled::kDone;
    case Route::Way::kAbort:
      AbortTransaction();
      break;
    case Route::Way::kRefuse:
      break;
  }
  ReplyNow(route.text);
  return Handled::kDone;
}

// The client is in no state in which an XADD could go another way, and waits for no relayed command.
bool Connection::SaysNothingElse() const {
  return client_.transaction == ClientInfo::Transaction::kNone && session_.idle() && !session_.subscribed();
}

// Answers come in the order of the requests, so what goes one way waits for what went the other.
bool Connection::MustWait(const Route& route) {
  const bool relays = route.way == Route::Way::kRelay;
  waits_for_slots_ = (relays || route.after_all) && !slots_.empty();
  waits_for_line_ = !relays && session_.unanswered() > 0;
  if (relays) {
    const bool protocol_may_change =
        client_.protocol_at_exec != 0 && client_.transaction == ClientInfo::Transaction::kNone;
    const bool state_unknown = (route.after_subscription && session_.awaits_subscription()) || protocol_may_change;
    // What may be skipped is alone on its way, so that its answer can come from somewhere else.
    waits_for_line_ = (state_unknown || route.skipped) && session_.unanswered() > 0;
  }
  return waits_for_slots_ || waits_for_line_;
}

ReplyTo Connection::NextSlot() {
  slots_.push_back({});
  return {this, first_slot_ + slots_.size() - 1, clients_->TurnUs()};
}

void Connection::AcceptEvent(std::string_view input) {
  const auto args = parser_.args();
  const ReplyTo to = NextSlot();
  if (parser_.is_array())
    return clients_->Accept(to, args, input.substr(parser_.body_offset(), parser_.consumed() - parser_.body_offset()));
  std::string body;
  for (const std::string_view arg : args) AppendBulk(body, arg);
  clients_->Accept(to, args, body);
}

Connection::Handled Connection::AnswerHere() {
  const auto args = parser_.args();
  std::string reply;
  const int protocol = client_.protocol;
  const LocalOutcome outcome =
      AnswerLocally(args, &client_, IsCommand(args[0], "info") ? clients_->Info() : ServerInfo{}, &reply);
  if (IsCommand(args[0], "reset")) EndLine();
  if (line_ && client_.protocol != protocol) {
    session_.Expect(RelaySession::Answer::kDropped, line_->queued_bytes());
    line_->Send(MakeCommand({"HELLO", std::to_string(client_.protocol)}));
  }
  switch (outcome) {
    case LocalOutcome::kAdmin:
      clients_->admin().Answer(args.subspan(1), NextSlot());
      return Handled::kDone;
    case LocalOutcome::kAnswered:
    case LocalOutcome::kAnswerAndClose:
      break;
  }
  ReplyNow(reply);
  return outcome == LocalOutcome::kAnswerAndClose ? Handled::kLast : Handled::kDone;
}

// ---- The way to Redis

void Connection::RelayCommand(Route route, std::string_view input) {
  if (!line_) line_ = clients_->relay().Open(this, client_.protocol, client_.name);
  if (!line_) {
    if (client_.transaction != ClientInfo::Transaction::kNone) client_.transaction = ClientInfo::Transaction::kRefused;
    return ReplyNow("-RETRY all connections for relayed commands are taken (--relay-connections)\r\n");
  }
  session_.Expect(route.answer, line_->queued_bytes());
  if (parser_.is_array()) {
    line_->Send(input.substr(0, parser_.consumed()));
  } else {
    std::string command;
    AppendCommand(command, parser_.args());
    line_->Send(command);
  }
  if (route.answer == RelaySession::Answer::kSubscription || route.answer == RelaySession::Answer::kShardSubscription)
    line_->Send(RelaySession::Marker());
  skippable_ = std::move(route.skipped);
  if (skippable_) waits_for_line_ = true;
}

// Redis has not taken it, or nobody knows.
void Connection::Skip() {
  if (skippable_) clients_->skips().Remember(NextSlot(), *std::exchange(skippable_, std::nullopt));
}

void Connection::AbortTransaction() {
  client_.transaction = ClientInfo::Transaction::kRefused;
  client_.protocol_at_exec = 0;
  client_.watches = false;
  if (!line_) return;
  session_.Expect(RelaySession::Answer::kDropped, line_->queued_bytes());
  line_->Send(MakeCommand({"DISCARD"}));
}

void Connection::OnRelayBytes(std::string_view bytes) {
  if (out_.empty() && writing_.empty()) last_write_ms_ = clients_->NowMs();
  const RelaySession::Taken taken = session_.Take(
      bytes, [this](std::string_view passed) { out_.append(passed); },
      [this] { return SprocketsInfo(clients_->Info()); });
  if (!taken.ok) return OnRelayLost("Redis answered what is no reply");
  if (client_.transaction == ClientInfo::Transaction::kNone && session_.unanswered() == 0) {
    if (taken.exec_done && client_.protocol_at_exec != 0) client_.protocol = client_.protocol_at_exec;
    client_.protocol_at_exec = 0;
  }
  if (taken.refused) Skip();
  if (session_.idle()) skippable_.reset();
  PopReady();
  if (UnsentBytes() > kMostRelayedBytes) {
    line_paused_ = true;
    line_->SetReading(false);
  }
  clients_->WantsFlush(this);
}

// What was in flight may have been executed, what had not left was not; nor was a transaction without its EXEC, and
// what follows of it must not be.
void Connection::OnRelayLost(std::string_view) {
  using Transaction = ClientInfo::Transaction;
  // Whoever waits for messages would wait for ever, and half a reply has no other half.
  const bool half_answered = session_.in_passed_reply();
  const bool ends = half_answered || session_.subscribed() || client_.tracks;
  const uint64_t sent = line_->sent_bytes();
  line_.reset();
  line_paused_ = false;
  session_.End([&](uint64_t begin) {
    if (skippable_) skippable_->in_doubt = begin < sent;
    if (ends || skippable_) return;
    out_.append(begin >= sent ? kLostUnsent : kLostInFlight);
  });
  if (!half_answered) {
    Skip();
  } else if (skippable_) {
    clients_->skips().Remember({}, *std::exchange(skippable_, std::nullopt));
  }
  if (client_.transaction == Transaction::kOpen) client_.transaction = Transaction::kRefused;
  if (std::exchange(client_.watches, false)) client_.watch_lost = true;
  client_.tracks = false;
  client_.protocol_at_exec = 0;
  PopReady();
  if (ends) return CloseAfterReplies();
  clients_->WantsFlush(this);
}

bool Connection::SpareRelayLine() {
  const bool is_bound = !session_.idle() || session_.subscribed() || client_.watches || client_.tracks ||
                        client_.transaction == ClientInfo::Transaction::kOpen;
  if (!is_bound) EndLine();
  return !is_bound;
}

void Connection::EndLine() {
  line_.reset();
  line_paused_ = false;
  skippable_.reset();
  session_.End([](uint64_t) {});
}

// ---- Replying, in the order of the requests

void Connection::ReplyNow(std::string_view resp) {
  NextSlot().Reply(resp);
}

void Connection::Reply(uint64_t slot, std::string_view resp) {
  SPROCKETS_ASSERT(slot >= first_slot_ && slot - first_slot_ < slots_.size());
  if (client_.protocol == 3 && resp == kNullOfResp2) resp = kNullOfResp3;
  if (slot == first_slot_ && MayAnswerSlots()) {
    if (out_.empty() && writing_.empty()) last_write_ms_ = clients_->NowMs();
    if (!closed()) out_.append(resp);
    slots_.pop_front();
    ++first_slot_;
    PopReady();
    if (!closed()) clients_->WantsFlush(this);
  } else {
    Slot& later = slots_[slot - first_slot_];
    later.ready = true;
    if (!closed()) later.resp = resp;
    waiting_bytes_ += later.resp.size();
  }
  ForgetIfDone();
}

void Connection::PopReady() {
  while (!slots_.empty() && slots_.front().ready && MayAnswerSlots()) {
    if (!closed()) out_.append(slots_.front().resp);
    waiting_bytes_ -= slots_.front().resp.size();
    slots_.pop_front();
    ++first_slot_;
  }
}

void Connection::Flush() {
  if (closed() || !writing_.empty()) return;
  if (!out_.empty()) {
    uv_buf_t buffer = uv_buf_init(out_.data(), static_cast<unsigned>(out_.size()));
    const int written = uv_try_write(reinterpret_cast<uv_stream_t*>(pipe_.get()), &buffer, 1);
    if (written < 0 && written != UV_EAGAIN) return Close();
    if (written > 0) last_write_ms_ = clients_->NowMs();
    if (written == static_cast<int>(out_.size())) {
      out_.clear();
      if (out_.capacity() > kReadStep) out_.shrink_to_fit();
    } else {
      out_.erase(0, static_cast<size_t>(std::max(written, 0)));
      WriteRest();
    }
  }
  if (line_paused_ && UnsentBytes() < kMostRelayedBytes / 2) {
    line_paused_ = false;
    line_->SetReading(true);
  }
  if (closing_ && idle()) Close();
}

// The client reads slowly: libuv writes when it can, in steps that show progress.
void Connection::WriteRest() {
  writing_ = out_.substr(0, kReadStep);
  out_.erase(0, writing_.size());
  uv_buf_t buffer = uv_buf_init(writing_.data(), static_cast<unsigned>(writing_.size()));
  write_request_.data = this;
  const auto done = [](uv_write_t* request, int status) {
    Connection* connection = From(request->data);
    connection->writing_.clear();
    if (connection->closed()) return connection->ForgetIfDone();
    if (status < 0) return connection->Close();
    connection->last_write_ms_ = connection->clients_->NowMs();
    connection->Flush();
  };
  if (uv_write(&write_request_, reinterpret_cast<uv_stream_t*>(pipe_.get()), &buffer, 1, done) != 0) {
    writing_.clear();
    Close();
  }
}

// ---- The end

void Connection::CloseAfterReplies() {
  closing_ = true;
  StopReading();
  clients_->WantsFlush(this);
}

void Connection::CheckStall() {
  if (closed()) return;
  const int64_t now = clients_->NowMs();
  const bool half_a_command = reading_ && parser_.in_command() && now - last_read_ms_ > kStallMs;
  const bool does_not_read = (!out_.empty() || !writing_.empty()) && now - last_write_ms_ > kStallMs;
  if (half_a_command || does_not_read || TakesTooLong(now) || HasLeft()) Close();
}

// A command that trickles in keeps memory from others. The time in which we could not have taken it does not count.
bool Connection::TakesTooLong(int64_t now) {
  const bool goes_on = parser_.in_command() && commands_ == commands_at_check_;
  if (goes_on && clients_->CanAccept()) half_command_ms_ += now - checked_ms_;
  if (!goes_on) half_command_ms_ = 0;
  commands_at_check_ = commands_;
  checked_ms_ = now;
  return half_command_ms_ > kCommandMs;
}

// Nobody is told of a hang-up while a connection is not read.
bool Connection::HasLeft() const {
  if (reading_) return false;
  uv_os_fd_t fd = -1;
  if (uv_fileno(reinterpret_cast<const uv_handle_t*>(pipe_.get()), &fd) != 0) return false;
  pollfd state{fd, 0, 0};
  return poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

void Connection::Close() {
  if (closed()) return;
  StopReading();
  closing_ = true;
  clients_->buffers().Changed(-static_cast<int64_t>(kept_.size()));
  clients_->buffers().Done(this);
  kept_.clear();
  out_.clear();
  EndLine();
  // With a write under way libuv calls its callback with UV_ECANCELED before the handle's memory goes.
  pipe_.reset();
  ForgetIfDone();
}

void Connection::ForgetIfDone() {
  if (closed() && slots_.empty() && writing_.empty()) clients_->Forget(this);
}

}  // namespace sprockets
