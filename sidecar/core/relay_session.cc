#include "sidecar/core/relay_session.h"

#include <utility>

#include "shared/redis/error.h"
#include "shared/redis/resp.h"

namespace sprockets {

namespace {

constexpr std::string_view kMarker = "*2\r\n$4\r\nPING\r\n$9\r\nsprockets\r\n";
constexpr std::string_view kMarkerReply = "$9\r\nsprockets\r\n";
constexpr std::string_view kMarkerReplySubscribed = "*2\r\n$4\r\npong\r\n$9\r\nsprockets\r\n";  // in RESP2
constexpr size_t kMostInfoBytes = 256 * 1024;  // a longer INFO passes as it is
constexpr size_t kMostSkippableBytes = 4096;   // a longer answer of a kSkippable likewise

// Out of band in RESP3: it answers nothing.
bool IsPush(char type) {
  return type == '>';
}

// `reply` is one string; nothing if it is not.
std::string_view TextOf(std::string_view reply) {
  const size_t end = reply.find("\r\n");
  if (end == reply.npos || !reply.ends_with("\r\n") || reply.size() < end + 4) return {};
  std::string_view text = reply.substr(end + 2, reply.size() - end - 4);
  if (reply.starts_with('=') && text.size() >= 4) text.remove_prefix(4);  // a verbatim string: "txt:"
  return text;
}

// OOM, READONLY, LOADING and their like: as with an event, Redis fails, and not this command.
bool RefusesWrites(std::string_view reply) {
  return reply.starts_with('-') && ClassifyRedisError(reply.substr(1, reply.find('\r') - 1)) == RefusalScope::kServer;
}

}  // namespace

std::string_view RelaySession::Marker() {
  return kMarker;
}

void RelaySession::Expect(Answer answer, uint64_t begin) {
  expected_.push_back({answer, begin});
  if (answer != Answer::kDropped) ++unanswered_;
  if (IsSubscription(answer)) ++awaited_subscriptions_;
}

// Is it open, when a reply begins, whether the client gets it, and as what?
bool RelaySession::MustHold() const {
  if (expected_.empty() || IsPush(framer_.type())) return false;
  const Answer answer = expected_.front().answer;
  return answer == Answer::kDropped || answer == Answer::kSkippable || IsSubscription(answer) ||
         (answer == Answer::kInfo && (framer_.type() == '$' || framer_.type() == '='));
}

bool RelaySession::MayHoldOn() const {
  switch (expected_.front().answer) {
    case Answer::kDropped:
      return true;
    case Answer::kInfo:
      return held_.size() <= kMostInfoBytes;
    case Answer::kSkippable:  // held whole: half an answer could not become another one
      return held_.size() <= kMostSkippableBytes;
    default:
      return held_.size() <= kMarkerReplySubscribed.size();
  }
}

RelaySession::Taken RelaySession::Take(std::string_view bytes, const std::function<void(std::string_view)>& pass,
                                       const std::function<std::string()>& info) {
  Taken taken;
  size_t at = 0;
  size_t run = 0;  // from here on bytes are to be passed, in one piece
  const auto pass_run = [&](size_t end) {
    if (run < end) pass(bytes.substr(run, end - run));
  };
  while (at < bytes.size()) {
    const bool begins = !framer_.in_reply();
    const size_t begin = at;
    size_t size = 0;
    const ReplyFramer::Outcome outcome = framer_.Take(bytes.substr(at), &size);
    if (begins) holds_ = MustHold();
    const bool answers_nothing = expected_.empty() && !IsPush(framer_.type()) && !subscribed();
    if (outcome == ReplyFramer::Outcome::kBad || answers_nothing) {
      pass_run(begin);
      taken.ok = false;
      return taken;
    }
    at += size;
    if (holds_) {
      pass_run(begin);
      run = at;
      // What nobody gets need not be kept.
      if (expected_.front().answer != Answer::kDropped) held_.append(bytes.substr(begin, size));
      if (!MayHoldOn()) {
        pass(held_);
        held_.clear();
        holds_ = false;
      }
    }
    if (outcome == ReplyFramer::Outcome::kWhole) EndReply(pass, info, &taken);
  }
  pass_run(at);
  return taken;
}

void RelaySession::EndReply(const std::function<void(std::string_view)>& pass, const std::function<std::string()>& info,
                            Taken* taken) {
  const bool held = std::exchange(holds_, false);
  const std::string reply = std::exchange(held_, {});
  if (IsPush(framer_.type()) && !awaits_subscription()) return;
  if (expected_.empty()) return;  // a message to a subscriber
  const Answer answer = expected_.front().answer;
  if (IsSubscription(answer)) {
    if (held && (reply == kMarkerReply || reply == kMarkerReplySubscribed)) return Pop();
    if (held) pass(reply);
    int64_t& subscriptions = answer == Answer::kSubscription ? subscriptions_ : shard_subscriptions_;
    subscriptions = framer_.last_integer().value_or(subscriptions);
    return;
  }
  if (IsPush(framer_.type())) return;
  taken->exec_done |= answer == Answer::kExec && framer_.type() == '*' && !framer_.is_null();
  if (held && answer == Answer::kInfo) {
    std::string text;
    AppendBulk(text, std::string(TextOf(reply)).append(info()));
    pass(text);
  }
  if (held && answer == Answer::kSkippable) {
    taken->refused = RefusesWrites(reply);
    if (!taken->refused) pass(reply);
  }
  Pop();
}

void RelaySession::Pop() {
  const Answer answer = expected_.front().answer;
  expected_.pop_front();
  if (answer != Answer::kDropped) --unanswered_;
  if (IsSubscription(answer)) --awaited_subscriptions_;
}

void RelaySession::End(const std::function<void(uint64_t begin)>& lost) {
  for (const Expected& expected : std::exchange(expected_, {})) {
    if (expected.answer != Answer::kDropped) lost(expected.begin);
  }
  *this = RelaySession();
}

}  // namespace sprockets
