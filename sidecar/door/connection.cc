#include "sidecar/door/connection.h"

#include <algorithm>
#include <cstring>
#include <poll.h>

#include "shared/base/result.h"
#include "sidecar/door/clients.h"

namespace sprockets {

namespace {

constexpr size_t kMaxUnansweredRequests = 16 * 1024;  // of one client, then it is not read any more
constexpr size_t kMaxUnsentBytes = 1 << 20;           // of one client's replies, likewise
constexpr int64_t kStallMs = 10'000;                  // half a command, or unread replies, for that long: cut off
constexpr int64_t kCommandMs = 30'000;                // one command, from its first byte to its last
constexpr size_t kReadStep = 64 * 1024;

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
  if (kept_.size() <= kReadStep) clients_->buffers().Done(this);
  if (!MayRead()) Pause();
}

void Connection::Keep(std::string_view rest) {
  if (rest.empty() || closed()) return;
  kept_ = rest;
  clients_->buffers().Changed(static_cast<int64_t>(rest.size()));
}

bool Connection::MayHandle() const {
  return clients_->CanAccept() && slots_.size() < kMaxUnansweredRequests &&
         out_.size() + writing_.size() + waiting_bytes_ < kMaxUnsentBytes;
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
    if (outcome == CommandParser::Outcome::kComplete && !HandleCommand(rest)) {
      CloseAfterReplies();
      return input.size();
    }
    if (outcome == CommandParser::Outcome::kTooLarge) {
      slots_.emplace_back();
      clients_->RejectTooLarge({this, first_slot_ + slots_.size() - 1});
    }
    done += parser_.consumed();
    if (outcome == CommandParser::Outcome::kIncomplete) {
      --commands_;
      break;
    }
  }
  return done;
}

// False: this was the client's last command.
bool Connection::HandleCommand(std::string_view input) {
  const auto args = parser_.args();
  if (IsCommand(args[0], "xadd")) {
    if (client_.in_refused_transaction) {
      ReplyNow(kRefusedInTransaction);
      return true;
    }
    slots_.emplace_back();
    const ReplyTo to{this, first_slot_ + slots_.size() - 1};
    if (parser_.is_array()) {
      clients_->Accept(to, args, input.substr(parser_.body_offset(), parser_.consumed() - parser_.body_offset()));
    } else {
      std::string body;
      for (const std::string_view arg : args) AppendBulk(body, arg);
      clients_->Accept(to, args, body);
    }
    return true;
  }
  std::string reply;
  const bool wants_info = IsCommand(args[0], "info");
  const LocalOutcome outcome = AnswerLocally(args, &client_, wants_info ? clients_->Info() : ServerInfo{}, &reply);
  if (outcome == LocalOutcome::kAdminStatus || outcome == LocalOutcome::kAdminSeal) {
    slots_.emplace_back();
    const ReplyTo to{this, first_slot_ + slots_.size() - 1};
    outcome == LocalOutcome::kAdminStatus ? clients_->admin().AnswerStatus(to) : clients_->admin().AnswerSeal(to);
    return true;
  }
  ReplyNow(reply);
  return outcome != LocalOutcome::kAnswerAndClose;
}

// ---- Replying, in the order of the requests

void Connection::ReplyNow(std::string_view resp) {
  slots_.emplace_back();
  Reply(first_slot_ + slots_.size() - 1, resp);
}

void Connection::Reply(uint64_t slot, std::string_view resp) {
  SPROCKETS_ASSERT(slot >= first_slot_ && slot - first_slot_ < slots_.size());
  if (slot == first_slot_) {
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
  while (!slots_.empty() && slots_.front().ready) {
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
  // With a write under way libuv calls its callback with UV_ECANCELED before the handle's memory goes.
  pipe_.reset();
  ForgetIfDone();
}

void Connection::ForgetIfDone() {
  if (closed() && slots_.empty() && writing_.empty()) clients_->Forget(this);
}

}  // namespace sprockets
