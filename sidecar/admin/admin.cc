#include "sidecar/admin/admin.h"

#include <string>
#include <utility>

#include "shared/base/text.h"
#include "shared/redis/resp.h"
#include "sidecar/admin/status.h"

namespace sprockets {

namespace {

constexpr int64_t kReportPatienceMs = 1'000;  // then STATUS is answered without the disk
constexpr int64_t kLongestHoldS = 24 * 60 * 60;

std::string ErrorReply(std::string_view why) {
  std::string reply;
  AppendError(reply, "ERR " + Escape(why));
  return reply;
}

}  // namespace

Admin::Admin(Delivery* delivery, const RelayPool* relay, Disk* disk, SkipStore* skips, const LoopClock* clock)
    : delivery_(delivery), relay_(relay), disk_(disk), skips_(skips), clock_(clock), started_(clock->Wall()) {}

void Admin::Answer(std::span<const std::string_view> args, ReplyTo to) {
  const auto is = [&](std::string_view name, size_t words) { return args.size() == words && IsCommand(args[0], name); };
  if (is("status", 1)) return AnswerStatus(to);
  if (is("seal", 1)) return AnswerSeal(to);
  if (is("hold", 2)) return AnswerHold(args[1], to);
  if (is("refill", 2)) return AnswerRefill(args[1], to);
  to.Reply(ErrorReply("SPROCKETS takes STATUS, SEAL, HOLD seconds or REFILL stream"));
}

// It ends by itself, so that nobody can forget it.
void Admin::AnswerHold(std::string_view seconds, ReplyTo to) {
  const Result<int64_t> wanted = ParseInteger(seconds, 0, kLongestHoldS);
  if (!wanted.ok())
    return to.Reply(
        ErrorReply("SPROCKETS HOLD takes a number of seconds, 0 to " + std::to_string(kLongestHoldS) + "; 0 ends it"));
  const Status done = delivery_->Hold(wanted.value() * 1000);
  if (!done.ok()) return to.Reply(ErrorReply(done.error().message));
  settle_waiting_.push_back(to);
}

void Admin::AnswerRefill(std::string_view stream, ReplyTo to) {
  const Status done = delivery_->Refill(stream);
  if (!done.ok()) return to.Reply(ErrorReply(done.error().message));
  settle_waiting_.push_back(to);
}

void Admin::EndTurn() {
  if (settle_waiting_.empty() || delivery_->settles()) return;
  for (const ReplyTo& to : std::exchange(settle_waiting_, {})) to.Reply("+OK\r\n");
}

// However many ask, the folder is looked at once for all of them.
void Admin::AnswerStatus(ReplyTo to) {
  status_waiting_.push_back(to);
  if (asked_) return;
  asked_ = clock_->Now();
  disk_->Describe();
  skips_asked_ = true;
  skips_->Look();
}

void Admin::OnDescribed(SpillReport report) {
  asked_.reset();
  described_ = clock_->Wall();
  report_ = std::move(report);
  AnswerIfLooked();
}

void Admin::OnSkipsLooked() {
  skips_asked_ = false;
  AnswerIfLooked();
}

void Admin::AnswerIfLooked() {
  if (!asked_ && !skips_asked_) AnswerWaiting();
}

void Admin::CheckPatience() {
  if (asked_ && clock_->Now().ms - asked_->ms >= kReportPatienceMs) AnswerWaiting();
}

void Admin::AnswerWaiting() {
  if (status_waiting_.empty()) return;
  std::string reply;
  AppendBulk(reply, StatusJson(delivery_->Facts(clock_->Wall()), RelayFacts{relay_->lines(), relay_->commands()},
                               report_, SkipFacts{skips_->list(), skips_->error()}, described_, clock_->Wall()));
  for (const ReplyTo& to : std::exchange(status_waiting_, {})) to.Reply(reply);
}

void Admin::AnswerSeal(ReplyTo to) {
  seal_waiting_.emplace(next_token_, to);
  disk_->Seal(next_token_++);
}

void Admin::OnSealed(const Sealed& sealed) {
  const auto waiting = seal_waiting_.extract(sealed.token);
  if (waiting.empty()) return;
  std::string reply;
  if (!sealed.status.ok()) {
    AppendError(reply, "ERR " + Escape(sealed.status.error().message));
  } else {
    AppendSimple(reply, sealed.name.empty() ? "nothing to seal" : sealed.name);
  }
  waiting.mapped().Reply(reply);
}

ServerInfo Admin::Info() const {
  ServerInfo info;
  info.uptime_s = (clock_->Wall().ms - started_.ms) / 1000;
  info.sprockets_section = InfoSection(delivery_->Facts(clock_->Wall()), disk_->active_rows(),
                                       skips_->list().size() + skips_->listed_since());
  return info;
}

}  // namespace sprockets
