// Reading and writing an event as an XADD, and its identity. Pure.
#include "shared/redis/event.h"

#include <charconv>
#include <cstring>

#include <sodium.h>

#include "shared/base/limits.h"
#include "shared/redis/resp.h"
#include "shared/redis/stream_id.h"

namespace sprockets {

namespace {

bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] + 32) : text[i];
    if (c != lower[i]) return false;
  }
  return true;
}

Error Invalid(std::string_view why) {
  return {ErrorCode::kUsage, std::string(why)};
}

// As strict as Redis: digits only (a minus is never valid here), no leading zero, no overflow.
bool ParseCount(std::string_view text, int64_t* count) {
  if (text.empty() || (text.size() > 1 && text[0] == '0') || text[0] == '-') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *count);
  return error == std::errc{} && end == text.data() + text.size();
}

bool IsTrimId(std::string_view text) {
  uint64_t ms = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  return ParseStreamId(text).has_value() || (error == std::errc{} && !text.empty() && end == text.data() + text.size());
}

// The options between the stream and its id, in Redis 7.0's grammar (streamParseAddOrTrimArgsOrReply).
class OptionParser {
 public:
  OptionParser(std::span<const std::string_view> args, EventView* event) : args_(args), event_(event) {}

  // The index of the '*'.
  Result<size_t> Parse() {
    for (at_ = 2; at_ < args_.size(); ++at_) {
      const std::string_view word = args_[at_];
      if (word == "*") {
        if (limited_ && !approximate_) return Invalid("LIMIT needs MAXLEN ~ or MINID ~");
        return at_;
      }
      const bool has_argument = at_ + 1 < args_.size();
      if (EqualsIgnoringCase(word, "nomkstream")) {
        event_->no_mkstream = true;
      } else if (has_argument && EqualsIgnoringCase(word, "maxlen")) {
        RETURN_IF_ERROR(Threshold(true));
      } else if (has_argument && EqualsIgnoringCase(word, "minid")) {
        RETURN_IF_ERROR(Threshold(false));
      } else if (has_argument && EqualsIgnoringCase(word, "limit")) {
        RETURN_IF_ERROR(Limit());
      } else {
        return Invalid("an explicit id is not supported: use '*' (an event that waits for Redis gets its id later)");
      }
    }
    return Invalid("wrong number of arguments for 'xadd' command");
  }

 private:
  Status Threshold(bool is_maxlen) {
    if (trimmed_) return Invalid("give either MAXLEN or MINID, and only once");
    trimmed_ = true;
    event_->options.push_back(args_[at_++]);
    if ((args_[at_] == "~" || args_[at_] == "=") && at_ + 1 < args_.size()) {
      approximate_ = args_[at_] == "~";
      event_->options.push_back(args_[at_++]);
    }
    int64_t count = 0;
    if (is_maxlen && !ParseCount(args_[at_], &count)) return Invalid("MAXLEN is not a whole number of 1 or more");
    if (is_maxlen && count == 0) return Invalid("MAXLEN 0 would remove the event as it is added");
    if (!is_maxlen && !IsTrimId(args_[at_])) return Invalid("MINID is not a stream id");
    event_->options.push_back(args_[at_]);
    return {};
  }

  Status Limit() {
    event_->options.push_back(args_[at_++]);
    int64_t count = 0;
    if (!ParseCount(args_[at_], &count)) return Invalid("LIMIT is not a whole number of 0 or more");
    event_->options.push_back(args_[at_]);
    limited_ = true;
    return {};
  }

  std::span<const std::string_view> args_;
  EventView* event_;
  size_t at_ = 0;
  bool trimmed_ = false;
  bool approximate_ = false;
  bool limited_ = false;
};

Status CheckFields(std::span<const std::string_view> fields) {
  if (fields.empty() || fields.size() % 2 != 0) return Invalid("wrong number of arguments for 'xadd' command");
  for (size_t i = 0; i < fields.size(); i += 2) {
    if (fields[i].size() > kMaxFieldNameBytes) return Invalid("a field name is longer than 64 KiB");
  }
  return {};
}

constexpr size_t kMostScratchBytes = 64 * 1024;  // a larger string gives its memory back

}  // namespace

Status ParseXadd(std::span<const std::string_view> args, std::string_view event_id_field, EventView* event) {
  event->no_mkstream = false;
  event->options.clear();
  event->fields.clear();
  event->event_id_at = EventView::kNoEventId;
  if (args.size() < 5) return Invalid("wrong number of arguments for 'xadd' command");
  event->stream = args[1];
  if (event->stream.empty()) return Invalid("the stream's name is empty");
  if (event->stream.size() > kMaxStreamNameBytes) return Invalid("the stream's name is longer than 1024 bytes");
  size_t star = 2;
  if (args[2] != "*") {
    ASSIGN_OR_RETURN(star, OptionParser(args, event).Parse());
  }
  const std::span<const std::string_view> fields = args.subspan(star + 1);
  RETURN_IF_ERROR(CheckFields(fields));
  event->fields.assign(fields.begin(), fields.end());
  for (size_t i = 0; i < fields.size(); i += 2) {
    if (fields[i] != event_id_field) continue;
    if (fields[i + 1].empty()) return Invalid("the event id is empty");
    if (fields[i + 1].size() > kMaxEventIdBytes) return Invalid("the event id is longer than 256 bytes");
    event->event_id_at = i + 1;
    break;
  }
  const size_t other_fields = fields.size() / 2 - (event->has_event_id() ? 1 : 0);
  if (other_fields > kMaxFields) return Invalid("more than 4096 fields, not counting the event id");
  return {};
}

void AppendXadd(std::string& out, const EventView& event, std::string_view id) {
  AppendArrayHeader(out, 3 + event.options.size() + event.fields.size());
  AppendBulk(out, "XADD");
  AppendBulk(out, event.stream);
  for (const std::string_view option : event.options) AppendBulk(out, option);
  AppendBulk(out, id);
  for (const std::string_view field : event.fields) AppendBulk(out, field);
}

static_assert(sizeof(IdentityHasher::Key) == crypto_shorthash_siphashx24_KEYBYTES);
static_assert(sizeof(Digest) == crypto_shorthash_siphashx24_BYTES);

IdentityHasher::IdentityHasher() {
  SPROCKETS_ASSERT(sodium_init() >= 0);
  randombytes_buf(key_.data(), key_.size());
}

// The length of the first comes first, so that no two pairs are one input.
Digest IdentityHasher::Hash(std::string_view one, std::string_view other) const {
  thread_local std::string input;  // keeps its room: libsodium wants it in one piece
  const uint64_t size = one.size();
  input.assign(reinterpret_cast<const char*>(&size), sizeof size);
  input.append(one).append(other);
  unsigned char bytes[crypto_shorthash_siphashx24_BYTES];
  crypto_shorthash_siphashx24(bytes, reinterpret_cast<const unsigned char*>(input.data()), input.size(), key_.data());
  if (input.capacity() > kMostScratchBytes) input = std::string();
  Digest digest;
  std::memcpy(&digest.low, bytes, sizeof digest.low);
  std::memcpy(&digest.high, bytes + sizeof digest.low, sizeof digest.high);
  return digest;
}

EventIdentity IdentityHasher::Of(std::string_view stream, std::span<const std::string_view> fields,
                                 size_t event_id_at) const {
  EventIdentity identity;
  identity.who = Hash(stream, fields[event_id_at]);
  // Clients that keep fields in a map send them in any order: the sum of the fields' digests does not depend on it.
  for (size_t i = 0; i + 1 < fields.size(); i += 2) {
    if (i + 1 == event_id_at) continue;
    const Digest field = Hash(fields[i], fields[i + 1]);
    identity.what.low += field.low;
    identity.what.high += field.high;
  }
  return identity;
}

}  // namespace sprockets
