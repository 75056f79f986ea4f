// The router under a fake Redis and a fake disk, for its tests.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "shared/redis/resp.h"
#include "sidecar/core/router.h"

namespace sprockets::router_tests {

/// Records what the router makes happen; a test decides what comes back.
class World : public ReplySink, public RedisSink, public SpillSink, public RouterNotices {
 public:
  explicit World(RouterOptions options = DefaultOptions())
      : router(std::move(options), IdentityHasher(), {this, this, this}) {}

  static RouterOptions DefaultOptions() {
    RouterOptions options;
    options.producer = "me";
    return options;
  }

  /// Accepts an XADD; its reply will stand in replies[the returned slot].
  uint64_t Xadd(std::vector<std::string_view> args) {
    args.insert(args.begin(), "XADD");
    std::string body;
    for (const std::string_view arg : args) AppendBulk(body, arg);
    router.Accept({this, ++slot}, args, body, {wall_ms}, {now_ms});
    return slot;
  }
  void Connect(int64_t client_id = 1, bool fenced = true) { router.OnConnectionReady({"run", client_id}, fenced); }
  /// Connects, with a stream whose tail is known and whose window is filled.
  void ConnectWithTail(StreamId tail = {5, 0}) {
    Connect();
    default_tail = tail;
  }
  void Spilled(int64_t ticket) { Outcome(SpillOutcome::Kind::kSpilled, ticket); }
  void Outcome(SpillOutcome::Kind kind, int64_t ticket = 0, StreamId anchor = {}) {
    REQUIRE(!spills.empty());
    SpillOutcome outcome;
    outcome.request = std::move(spills.front());
    spills.pop_front();
    outcome.kind = kind;
    outcome.ticket = ticket;
    outcome.anchor = anchor;
    outcome.why = "disk says no";
    router.OnSpillOutcome(std::move(outcome));
  }

  void Send(const PendingEvent& event) override { sent.push_back(event.wire); }
  void ReadTail(StreamState& stream, std::optional<StreamId> before, int64_t count) override {
    tails.push_back({&stream, before, count});
    if (!default_tail) return;
    const TailRead read = tails.back();
    tails.pop_back();
    router.OnTail(*read.stream, {TailEntry{*default_tail, {"f", "v"}}}, false, {now_ms});
  }
  void Spill(SpillRequest request) override { spills.push_back(std::move(request)); }
  void Reply(uint64_t request, std::string_view resp) override {
    REQUIRE(replies.count(request) == 0);  // one answer to each request, never two
    replies[request] = resp;
  }
  void ProbeRedis(std::string_view) override { ++probes; }
  void UnknownForgotten() override { unknown_forgotten = true; }
  void StreamRefused(const StreamState& stream, std::string_view) override { refused.insert(stream.name); }
  void StreamAcceptedAgain(const StreamState& stream) override { refused.erase(stream.name); }

  struct TailRead {
    StreamState* stream;
    std::optional<StreamId> before;
    int64_t count;
  };
  int64_t wall_ms = 1'700'000'000'000;
  int64_t now_ms = 1'000'000;
  uint64_t slot = 0;
  std::vector<std::string> sent;
  std::vector<TailRead> tails;
  std::optional<StreamId> default_tail;
  std::deque<SpillRequest> spills;
  std::map<uint64_t, std::string> replies;
  std::set<std::string> refused;
  int probes = 0;
  bool unknown_forgotten = false;
  Router router;
};

inline std::vector<std::string> ArgsOf(const std::string& wire) {
  std::vector<std::string_view> args;
  REQUIRE(ParseWholeCommand(wire, &args));
  return {args.begin(), args.end()};
}

}  // namespace sprockets::router_tests
