// Whether the sidecar is ready, and what its operator is told to do.
#include "sidecar/admin/verdict.h"

#include <catch2/catch.hpp>

#include "tests/sidecar/admin/snapshots.h"

namespace sprockets {
namespace {

constexpr int64_t kNow = 50'000;

std::string CodesOf(const Verdict& verdict) {
  std::string codes;
  for (const Reason& reason : verdict.reasons) codes.append(codes.empty() ? "" : " ").append(reason.code);
  return codes;
}

std::string CommandOf(const Verdict& verdict, std::string_view beginning) {
  for (const Advice& advice : verdict.next)
    if (advice.command.starts_with(beginning)) return advice.command;
  return "";
}

TEST_CASE("where all is well the sidecar is ready, and nothing needs to be done") {
  const Verdict verdict = Judge(WellSnapshot(), kNow);
  CHECK(verdict.alive);
  CHECK(verdict.ready);
  CHECK(verdict.takes_events);
  CHECK(verdict.next.size() == 1);
  CHECK(verdict.next[0].command.empty());
}

TEST_CASE("a loop that does not turn is not alive, and what it said last is not believed") {
  const Verdict verdict = Judge(WellSnapshot(), kNow + kLoopPatienceMs);
  CHECK_FALSE(verdict.alive);
  CHECK_FALSE(verdict.ready);
  CHECK_FALSE(verdict.takes_events);
  CHECK(CodesOf(verdict) == "loop-stuck redis-silent disk-silent");
}

TEST_CASE("without Redis the sidecar is not ready, and takes events") {
  Snapshot now = WellSnapshot();
  now.delivery.redis.connected = now.delivery.redis.takes_events = false;
  now.delivery.redis.last_error = "Connection refused";
  const Verdict verdict = Judge(now, kNow);
  CHECK(verdict.alive);
  CHECK_FALSE(verdict.ready);
  CHECK(verdict.takes_events);
  CHECK(CodesOf(verdict) == "redis-away");
  CHECK(verdict.reasons[0].text.find("Connection refused") != std::string::npos);
}

TEST_CASE("a refused login is told from an outage, with the command that asks Redis beforehand") {
  Snapshot now = WellSnapshot();
  now.delivery.redis.connected = now.delivery.redis.takes_events = false;
  now.delivery.redis.last_error = "WRONGPASS invalid username-password pair or user is disabled.";
  const Verdict verdict = Judge(now, kNow);
  CHECK(CodesOf(verdict) == "redis-refuses-login");
  CHECK(verdict.headline.find("login") != std::string::npos);
  CHECK(CommandOf(verdict, "sprockets-sidecar").ends_with("--check-config --probe"));
}

TEST_CASE("a disk that takes nothing costs readiness at once, and events only while Redis does not take them") {
  Snapshot now = WellSnapshot();
  now.spill.writable = false;
  now.spill.write_error = "cannot write";
  CHECK(CodesOf(Judge(now, kNow)) == "disk-not-writable");
  CHECK(Judge(now, kNow).takes_events);
  now.delivery.redis.takes_events = false;
  CHECK_FALSE(Judge(now, kNow).takes_events);
  now.delivery.redis.takes_events = true;
  now.delivery.journal.emplace();
  CHECK_FALSE(Judge(now, kNow).takes_events);
  now = WellSnapshot();
  now.spill_age_ms = kDiskPatienceMs;
  CHECK(CodesOf(Judge(now, kNow)) == "disk-silent");
  now.spill_age_ms.reset();
  CHECK(CodesOf(Judge(now, kNow)) == "disk-silent");
}

TEST_CASE("with a journal, what Redis or the disk refuses costs readiness, and the disk's refusal the events") {
  Snapshot now = WellSnapshot();
  now.delivery.journal.emplace();
  CHECK(Judge(now, kNow).ready);
  now.delivery.redis.last_error = "OOM command not allowed";
  CHECK(CodesOf(Judge(now, kNow)) == "redis-refuses-events");
  CHECK(Judge(now, kNow).takes_events);
  now.delivery.redis.last_error.clear();
  now.delivery.journal->refusal = "the disk is full";
  CHECK(CodesOf(Judge(now, kNow)) == "journal-refuses");
  CHECK_FALSE(Judge(now, kNow).takes_events);
}

TEST_CASE("after a change of the mode, events need Redis for a while") {
  Snapshot now = WellSnapshot();
  now.delivery.journal.emplace();
  now.probes.reads_tails = true;
  CHECK(Judge(now, kNow).ready);
  now.delivery.redis.connected = now.delivery.redis.takes_events = false;
  CHECK(CodesOf(Judge(now, kNow)) == "redis-away mode-changed");
  CHECK_FALSE(Judge(now, kNow).takes_events);
}

TEST_CASE("a damaged file costs readiness") {
  Snapshot now = WellSnapshot();
  now.spill.states.quarantined = 1;
  const Verdict verdict = Judge(now, kNow);
  CHECK(CodesOf(verdict) == "file-quarantined");
  CHECK(verdict.takes_events);
}

TEST_CASE("a refused stream is named") {
  Snapshot now = WellSnapshot();
  now.probes.refused = {{"bounty\n-stream", "WRONGTYPE Operation"}};
  const Verdict verdict = Judge(now, kNow);
  CHECK(CodesOf(verdict) == "stream-refused");
  CHECK(verdict.reasons[0].text.find("bounty\\n-stream: WRONGTYPE") != std::string::npos);
  CHECK(verdict.takes_events);
}

TEST_CASE("when Redis is back, the drain is the next command, quoted for a shell") {
  Snapshot now = WellSnapshot();
  now.setup.spill_dir = "/var/lib/my spill's";
  now.spill.rows = 12'431;
  const Verdict verdict = Judge(now, kNow);
  CHECK(verdict.ready);
  CHECK(verdict.headline.find("12 431 events wait") != std::string::npos);
  CHECK(
      CommandOf(verdict, "sprockets-replayer drain") ==
      R"(sprockets-replayer drain --redis redis://127.0.0.1:6379 --spill-dir '/var/lib/my spill'\''s' --socket /run/s.sock)");
  now.delivery.redis.takes_events = false;
  CHECK(CommandOf(Judge(now, kNow), "sprockets-replayer drain").empty());
}

}  // namespace
}  // namespace sprockets
