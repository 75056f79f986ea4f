// What a client is told with --ack disk, and when.
#include "sidecar/core/acceptor.h"

#include <map>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "shared/redis/resp.h"

namespace sprockets {
namespace {

/// An acceptor before a journal that commits when the test says so, and a Redis that is away.
class Desk : public ReplySink,
             public SpillSink,
             public ForwarderLink,
             public JournalSource,
             public ForwarderNotices,
             public TailSource {
 public:
  explicit Desk(bool reads_tails = false)
      : forwarder({}, {7}, this, this, this),
        acceptor(Options(), IdentityHasher(), &forwarder, this, reads_tails ? this : nullptr) {}

  static AcceptorOptions Options() {
    AcceptorOptions options;
    options.producer = "us";
    options.max_streams = 2;
    return options;
  }
  /// Its number, for `replies`.
  uint64_t Send(std::initializer_list<std::string_view> words) {
    const std::string wire = MakeCommand(words);
    std::vector<std::string_view> args;
    REQUIRE(ParseWholeCommand(wire, &args));
    const size_t body = wire.find('\n') + 1;
    acceptor.Accept({this, ++sent_}, args, std::string_view(wire).substr(body), WallTime{wall_ms}, LoopTime{loop_ms});
    return sent_;
  }
  void Finish(SpillOutcome::Kind kind, const std::string& why = "") {
    SpillOutcome outcome;
    outcome.request = std::move(journal.front());
    journal.erase(journal.begin());
    outcome.kind = kind;
    outcome.ticket = ++ticket_;
    outcome.why = why;
    acceptor.OnOutcome(std::move(outcome));
  }
  void Commit() { Finish(SpillOutcome::Kind::kSpilled); }

  // Sinks
  void Reply(uint64_t slot, std::string_view resp) override { replies[slot] = resp; }
  void Spill(SpillRequest request) override { journal.push_back(std::move(request)); }
  void Send(std::string_view, size_t) override {}
  void Greeted() override {}
  void Disconnect(std::string_view) override {}
  void Unusable(std::string_view) override {}
  void ReadUp(AheadStream&, uint64_t, StreamId, StreamId) override {}
  void ReadDown(AheadStream&, uint64_t, StreamId, StreamId) override {}
  void Move(AheadStream&, std::vector<JournalRow>) override {}
  void Reject(AheadStream&, int64_t, std::string_view) override {}
  void Ready(const Incarnation&, bool, bool) override {}
  void Decided(const AheadStream&, const Placing::Counts&) override {}
  void StreamRefused(const AheadStream&, std::string_view) override {}
  bool ReadTail(const std::string& stream, std::optional<StreamId> before, int64_t count) override {
    if (!redis_is_away) tails.push_back({stream, before, count});
    return !redis_is_away;
  }

  struct TailAsked {
    std::string stream;
    std::optional<StreamId> before;
    int64_t count;
  };
  std::vector<TailAsked> tails;
  bool redis_is_away = false;
  std::map<uint64_t, std::string> replies;
  std::vector<SpillRequest> journal;
  int64_t wall_ms = 1'000;
  int64_t loop_ms = 0;
  Forwarder forwarder;
  Acceptor acceptor;

 private:
  uint64_t sent_ = 0;
  int64_t ticket_ = 0;
};

std::string IdReply(StreamId id) {
  std::string reply;
  AppendBulk(reply, ToString(id));
  return reply;
}

TEST_CASE("an event is answered with its id, and not before it is in the journal") {
  Desk desk;
  const uint64_t one = desk.Send({"XADD", "s", "*", "f", "1"});
  const uint64_t two = desk.Send({"XADD", "s", "*", "f", "2"});
  CHECK(desk.replies.empty());
  REQUIRE(desk.journal.size() == 2);
  const StreamId first = *desk.journal[0].id;
  const StreamId second = *desk.journal[1].id;
  CHECK(first < second);
  desk.Commit();
  CHECK(desk.replies[one] == IdReply(first));
  CHECK(desk.replies.count(two) == 0);
  desk.Commit();
  CHECK(desk.replies[two] == IdReply(second));
}

TEST_CASE("a second copy is told the first one's id, before and after the commit") {
  Desk desk;
  const uint64_t one = desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  const uint64_t again = desk.Send({"XADD", "s", "*", "event_id", "e", "f", "1"});
  REQUIRE(desk.journal.size() == 1);
  const StreamId id = *desk.journal[0].id;
  desk.Commit();
  const uint64_t later = desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  for (const uint64_t each : {one, again, later}) CHECK(desk.replies[each] == IdReply(id));
  CHECK(desk.acceptor.counters().deduplicated == 2);
  // Another event under the same id is another event.
  desk.Send({"XADD", "s", "*", "f", "2", "event_id", "e"});
  CHECK(desk.journal.size() == 1);
  CHECK(desk.acceptor.counters().other_payload == 1);
}

TEST_CASE("what the disk refuses is answered RETRY, and a second try is a new event") {
  Desk desk;
  const uint64_t one = desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  const uint64_t copy = desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  desk.Finish(SpillOutcome::Kind::kRefused, "full");
  CHECK(desk.replies[one] == "-RETRY full\r\n");
  CHECK(desk.replies[copy] == "-RETRY full\r\n");
  desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  CHECK(desk.journal.size() == 1);
}

TEST_CASE("what may be stored when the sidecar stops is answered UNKNOWN") {
  Desk desk;
  const uint64_t one = desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  desk.Finish(SpillOutcome::Kind::kUnknown, "disk I/O error");
  CHECK(desk.replies[one] == "-UNKNOWN e disk I/O error\r\n");
}

TEST_CASE("while a COMMIT is tried again nothing new is taken, and who waits too long is told UNKNOWN, once") {
  Desk desk;
  const uint64_t one = desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  const uint64_t own = desk.Send({"XADD", "s", "*", "f", "1"});
  desk.acceptor.OnBlocked(true, "disk I/O error");
  const uint64_t refused = desk.Send({"XADD", "s", "*", "f", "2", "event_id", "f"});
  CHECK(desk.replies[refused] == "-RETRY the journal cannot be written: disk I/O error\r\n");
  desk.acceptor.CheckPatience(LoopTime{4'999});
  CHECK(desk.replies.count(one) == 0);
  desk.acceptor.CheckPatience(LoopTime{5'000});
  CHECK(desk.replies[one] == "-UNKNOWN e disk I/O error\r\n");
  CHECK(desk.replies[own] == "-UNKNOWN us-1 disk I/O error\r\n");
  CHECK(desk.acceptor.unanswered() == 0);
  // A retry waits for the same row: until the next look, or until it gets the row's id.
  const uint64_t early = desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  CHECK(desk.replies.count(early) == 0);
  desk.acceptor.CheckPatience(LoopTime{6'000});
  CHECK(desk.replies[early] == "-UNKNOWN e disk I/O error\r\n");
  const uint64_t retry = desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  desk.replies.clear();
  const StreamId id = *desk.journal[0].id;
  desk.Commit();
  desk.acceptor.OnBlocked(false, "");
  CHECK(desk.replies == std::map<uint64_t, std::string>{{retry, IdReply(id)}});
  // What was refused meanwhile is a new event.
  const size_t before = desk.journal.size();
  desk.Send({"XADD", "s", "*", "f", "2", "event_id", "f"});
  CHECK(desk.journal.size() == before + 1);
}

TEST_CASE("until the journals are read an event with a client's id waits, for it may be a repeat") {
  Desk desk;
  desk.acceptor.OnEarlierEvents({}, /*complete=*/false);
  const uint64_t known = desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  const uint64_t fresh = desk.Send({"XADD", "s", "*", "f", "2", "event_id", "f"});
  const uint64_t own = desk.Send({"XADD", "t", "*", "f", "3"});
  CHECK(desk.journal.size() == 1);
  desk.Commit();
  CHECK(desk.replies.count(own) == 1);
  CHECK(desk.replies.count(known) == 0);

  EarlierEvents earlier;
  EventView event;
  event.stream = "s";
  event.fields = {"f", "1", "event_id", "e"};
  event.event_id_at = 3;
  earlier.spilled.push_back({desk.acceptor.hasher().Of(event), StreamId{500, 65536}, 1, 500, true, false});
  desk.acceptor.OnEarlierEvents(earlier, /*complete=*/true);
  CHECK(desk.replies[known] == IdReply({500, 65536}));
  REQUIRE(desk.journal.size() == 1);
  desk.Commit();
  CHECK(desk.replies.count(fresh) == 1);
}

TEST_CASE("an event waits for the journals to be read, but not for ever") {
  Desk desk;
  desk.acceptor.OnEarlierEvents({}, /*complete=*/false);
  const uint64_t one = desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  desk.loop_ms = 3'000;
  const uint64_t later = desk.Send({"XADD", "s", "*", "f", "2", "event_id", "f"});
  desk.acceptor.CheckPatience(LoopTime{5'000});
  CHECK(desk.replies[one].starts_with("-RETRY what earlier lives have stored"));
  CHECK(desk.replies.count(later) == 0);
  CHECK(desk.acceptor.unanswered() == 1);
  desk.acceptor.OnEarlierEvents({}, /*complete=*/true);
  CHECK(desk.journal.size() == 1);
}

TEST_CASE("what waits for the journals when the sidecar stops is answered RETRY") {
  Desk desk;
  desk.acceptor.OnEarlierEvents({}, /*complete=*/false);
  const uint64_t one = desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  desk.acceptor.Stop();
  CHECK(desk.replies[one] == "-RETRY the sidecar stops\r\n");
  CHECK(desk.acceptor.unanswered() == 0);
}

TEST_CASE("after a change of the mode an event that is in its stream already is told the id that it has there") {
  Desk desk(/*reads_tails=*/true);
  const uint64_t repeat = desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  const uint64_t other = desk.Send({"XADD", "s", "*", "f", "2", "event_id", "new"});
  const uint64_t behind = desk.Send({"XADD", "s", "*", "f", "3"});
  const uint64_t elsewhere = desk.Send({"XADD", "t", "*", "f", "4"});
  REQUIRE(desk.journal.size() == 1);  // what has no id, and nothing before it that waits
  desk.Commit();
  CHECK(desk.replies.count(elsewhere) == 1);
  REQUIRE(desk.tails.size() == 1);  // once for all of the stream
  CHECK(desk.tails[0].stream == "s");
  CHECK(!desk.tails[0].before);
  // Page after page, as far as an earlier life may have left something.
  const std::vector<TailEntry> newest(static_cast<size_t>(desk.tails[0].count), TailEntry{{90, 1}, {"f", "9"}});
  desk.acceptor.OnTail("s", newest, /*more=*/true);
  REQUIRE(desk.tails.size() == 2);
  CHECK(desk.tails[1].before == StreamId{90, 1});
  CHECK(desk.replies.size() == 1);
  desk.acceptor.OnTail("s", {{{80, 3}, {"f", "1", "event_id", "e"}}}, /*more=*/false);
  CHECK(desk.replies[repeat] == IdReply({80, 3}));
  REQUIRE(desk.journal.size() == 2);  // in the order in which they came
  const StreamId new_id = *desk.journal[0].id;
  desk.Commit();
  CHECK(desk.replies[other] == IdReply(new_id));
  desk.Commit();
  CHECK(desk.replies.count(behind) == 1);
  desk.Send({"XADD", "s", "*", "f", "5", "event_id", "another"});
  CHECK(desk.journal.size() == 1);
  CHECK(desk.tails.size() == 2);
}

TEST_CASE("after a change of the mode, without Redis, what may be a repeat is answered RETRY") {
  Desk desk(/*reads_tails=*/true);
  const uint64_t one = desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  const uint64_t behind = desk.Send({"XADD", "s", "*", "f", "2"});
  desk.redis_is_away = true;
  desk.acceptor.OnTailsAway();
  CHECK(desk.replies[one].starts_with("-RETRY "));
  CHECK(desk.replies.count(behind) == 0);
  CHECK(desk.journal.size() == 1);  // it waits for nothing any more
  CHECK(desk.replies[desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"})].starts_with("-RETRY "));
  CHECK(desk.acceptor.unanswered() == 1);
  desk.redis_is_away = false;
  const uint64_t again = desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  CHECK(desk.replies.count(again) == 0);
  desk.acceptor.OnTailRefused("s");  // nobody may read it
  CHECK(desk.journal.size() == 2);
}

TEST_CASE("after a change of the mode, each Redis that takes the place of another one is read anew") {
  Desk desk(/*reads_tails=*/true);
  desk.Send({"XADD", "s", "*", "f", "1", "event_id", "e"});
  desk.acceptor.OnTail("s", {}, /*more=*/false);
  desk.acceptor.ForgetTails();
  const uint64_t repeat = desk.Send({"XADD", "s", "*", "f", "2", "event_id", "other"});
  REQUIRE(desk.tails.size() == 2);
  desk.acceptor.OnTail("s", {{{80, 3}, {"f", "2", "event_id", "other"}}}, /*more=*/false);
  CHECK(desk.replies[repeat] == IdReply({80, 3}));
}

TEST_CASE("what only the end of a stream has shown is taken again once that Redis has lost it") {
  Desk desk(/*reads_tails=*/true);
  const uint64_t ours = desk.Send({"XADD", "s", "*", "f", "1", "event_id", "ours"});
  desk.acceptor.OnTail("s", {{{80, 3}, {"f", "2", "event_id", "lost"}}}, /*more=*/false);
  desk.Commit();
  CHECK(desk.replies[desk.Send({"XADD", "s", "*", "f", "2", "event_id", "lost"})] == IdReply({80, 3}));
  desk.acceptor.ForgetTails();
  const uint64_t again = desk.Send({"XADD", "s", "*", "f", "2", "event_id", "lost"});
  CHECK(desk.replies[desk.Send({"XADD", "s", "*", "f", "1", "event_id", "ours"})] == desk.replies[ours]);
  desk.acceptor.OnTail("s", {}, /*more=*/false);
  REQUIRE(desk.journal.size() == 1);
  desk.Commit();
  CHECK(desk.replies[again] != IdReply({80, 3}));
}

TEST_CASE("what waits for the end of a stream is bounded, and holds up nobody else") {
  Desk desk(/*reads_tails=*/true);
  const std::string data(512 * 1024, 'x');
  uint64_t last = 0;
  for (int i = 0; i < 20; ++i) last = desk.Send({"XADD", "s", "*", "f", data, "event_id", std::to_string(i)});
  CHECK(desk.replies[last].starts_with("-RETRY too many"));
  CHECK(desk.acceptor.unanswered() == 15);  // of half a MiB and a little, within 8 MiB
  CHECK(desk.acceptor.CanAccept());
  const uint64_t elsewhere = desk.Send({"XADD", "t", "*", "f", "4"});
  desk.Commit();
  CHECK(desk.replies.count(elsewhere) == 1);
}

TEST_CASE("streams of which only a mark is left do not count against the limit") {
  Desk desk;
  for (const char* name : {"x", "y", "z"}) {
    LandedMark mark;
    mark.stream = name;
    mark.landed = {90'000, 0};
    desk.forwarder.Restore(mark);
  }
  desk.Send({"XADD", "a", "*", "f", "1"});
  desk.Send({"XADD", "x", "*", "f", "1"});
  CHECK(desk.journal.size() == 2);
  CHECK(desk.replies[desk.Send({"XADD", "y", "*", "f", "1"})].starts_with("-INVALID "));
}

TEST_CASE("streams of events that waited are no more than others") {
  Desk desk;  // takes two streams
  desk.acceptor.OnEarlierEvents({}, /*complete=*/false);
  for (const char* stream : {"a", "b", "c"}) desk.Send({"XADD", stream, "*", "f", "1", "event_id", stream});
  desk.acceptor.OnEarlierEvents({}, /*complete=*/true);
  CHECK(desk.journal.size() == 2);
  CHECK(desk.replies[3].starts_with("-INVALID "));
}

TEST_CASE("ids go on above those of journals that are gone, however far the clock goes back") {
  Desk desk;
  LandedMark mark;
  mark.stream = "s";
  mark.landed = {90'000, 7ull << 32 | 5u << 16};
  desk.forwarder.Restore(mark);
  desk.Send({"XADD", "s", "*", "f", "1"});
  REQUIRE(desk.journal.size() == 1);
  CHECK(*desk.journal[0].id > mark.landed);
}

TEST_CASE("what is no event, or one stream too many, is INVALID") {
  Desk desk;
  CHECK(desk.replies[desk.Send({"XADD", "s", "5-1", "f", "1"})].starts_with("-INVALID an explicit id"));
  desk.Send({"XADD", "a", "*", "f", "1"});
  desk.Send({"XADD", "b", "*", "f", "1"});
  CHECK(desk.replies[desk.Send({"XADD", "c", "*", "f", "1"})].starts_with("-INVALID the sidecar does not accept"));
  CHECK(desk.acceptor.counters().invalid == 2);
}

TEST_CASE("events that come together share a millisecond, so that they fly together") {
  Desk desk;
  desk.Send({"XADD", "s", "*", "f", "1"});
  desk.wall_ms += 9;
  desk.Send({"XADD", "s", "*", "f", "2"});
  desk.wall_ms += 1;
  desk.Send({"XADD", "s", "*", "f", "3"});
  desk.wall_ms -= 500;  // the clock jumps back
  desk.Send({"XADD", "s", "*", "f", "4"});
  REQUIRE(desk.journal.size() == 4);
  CHECK(desk.journal[0].id->ms == desk.journal[1].id->ms);
  CHECK(desk.journal[2].id->ms == desk.journal[1].id->ms + 10);
  CHECK(*desk.journal[3].id > *desk.journal[2].id);
}

}  // namespace
}  // namespace sprockets
