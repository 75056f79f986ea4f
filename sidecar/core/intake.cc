#include "sidecar/core/intake.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "shared/base/text.h"
#include "shared/redis/resp.h"

namespace sprockets {

namespace {

constexpr size_t kSpareEvents = 4096;
constexpr size_t kSpareEventBytes = 4096;  // a larger string gives its memory back

}  // namespace

Intake::Intake(IntakeOptions options) : options_(std::move(options)) {
  AppendBulk(own_id_bulk_, options_.event_id_field);
}

std::string Intake::Look(std::span<const std::string_view> args, std::string_view body) {
  const Status parsed = ParseXadd(args, options_.event_id_field, &view_);
  if (!parsed.ok()) return parsed.error().message;
  if (body.size() <= options_.max_event_bytes) return {};
  size_t bytes = 0;
  for (const std::string_view arg : args) bytes += arg.size();
  return bytes > options_.max_event_bytes ? TooLarge() : std::string();
}

std::string Intake::TooLarge() const {
  return "the event is larger than --max-event-bytes (" + FormatSize(options_.max_event_bytes) +
         ") or has more than 4096 fields, not counting its id";
}

bool Intake::Admits(std::string_view stream, size_t streams) const {
  return GlobMatchAny(options_.stream_globs, stream) && streams < options_.max_streams;
}

std::unique_ptr<PendingEvent> Intake::Wrap(ReplyTo to, std::span<const std::string_view> args, std::string_view body) {
  std::unique_ptr<PendingEvent> event;
  if (spare_.empty()) {
    event = std::make_unique<PendingEvent>();
  } else {
    event = std::move(spare_.back());
    spare_.pop_back();
  }
  event->reply_to = to;
  event->has_own_id = !view_.has_event_id();
  event->wire.reserve(body.size() + own_id_bulk_.size() + 64);
  AppendArrayHeader(event->wire, args.size() + (event->has_own_id ? 2 : 0));
  event->wire.append(body);
  if (event->has_own_id) {
    char id[64];
    char* end = std::copy(options_.producer.begin(), options_.producer.end(), id);
    *end++ = '-';
    end = std::to_chars(end, id + sizeof id, next_own_id_++).ptr;
    event->wire.append(own_id_bulk_);
    AppendBulk(event->wire, {id, static_cast<size_t>(end - id)});
  }
  return event;
}

void Intake::Recycle(std::unique_ptr<PendingEvent> event) {
  if (spare_.size() >= kSpareEvents || event->wire.capacity() > kSpareEventBytes) return;
  event->wire.clear();
  event->entry = nullptr;
  event->has_own_id = false;
  event->is_probe = false;
  spare_.push_back(std::move(event));
}

void AnswerInvalid(ReplyTo to, std::string_view why) {
  std::string reply;
  AppendError(reply, "INVALID " + Escape(why));
  to.Reply(reply);
}

EntryIdReply::EntryIdReply(StreamId id) {
  char text[48];
  char* end = std::to_chars(text, text + 24, id.ms).ptr;
  *end++ = '-';
  end = std::to_chars(end, text + sizeof text, id.seq).ptr;
  char* out = bytes_;
  *out++ = '$';
  out = std::to_chars(out, out + 4, end - text).ptr;
  *out++ = '\r';
  *out++ = '\n';
  out = std::copy(text, end, out);
  *out++ = '\r';
  *out++ = '\n';
  size_ = static_cast<size_t>(out - bytes_);
}

std::string SpilledReply(int64_t ticket) {
  std::string reply;
  AppendSimple(reply, "0-" + std::to_string(ticket));
  return reply;
}

bool AnswerCopy(WindowEntry& entry, ReplyTo to) {
  switch (entry.state) {
    case WindowEntry::State::kPending:
      if (!entry.waiters) entry.waiters = std::make_unique<std::vector<ReplyTo>>();
      entry.waiters->push_back(to);
      return true;
    case WindowEntry::State::kLanded:
      to.Reply(EntryIdReply(entry.id));
      return true;
    case WindowEntry::State::kSpilled:
      to.Reply(SpilledReply(entry.ticket));
      return true;
    case WindowEntry::State::kUnknown:
      return false;
  }
  return false;
}

void AnswerWaiters(WindowEntry* entry, std::string_view resp) {
  if (entry == nullptr || !entry->waiters) return;
  const auto waiters = std::move(entry->waiters);
  for (const ReplyTo& waiter : *waiters) waiter.Reply(resp);
}

}  // namespace sprockets
