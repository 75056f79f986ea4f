// A drain by a user who may do less: what was never sent needs nothing but XADD, what is in doubt needs XRANGE, and a
// proof needs XINFO.
#include <catch2/catch.hpp>

#include "tests/replayer/drain/drain_fixture.h"

namespace sprockets::testing {
namespace {

void SetUser(const Stage& stage, const Strings& rules) {
  Strings command{"ACL", "SETUSER", "limited", "reset", "on", ">pw", "~*", "+@all"};
  command.insert(command.end(), rules.begin(), rules.end());
  REQUIRE(stage.redis.Text(command) == "OK");
}

Run DrainAs(const Stage& stage) {
  return RunReplayer({"drain", "--spill-dir", stage.folder.path().native(), "--json", "--progress", "none",
                      "--fence-wait", "50ms", "--redis", "unix://limited:pw@" + stage.redis.socket_path().native()});
}

TEST_CASE("what was never sent is drained and verified without XINFO, and without any right to read") {
  const Strings rules =
      GENERATE(Strings{"-xinfo"}, Strings{"-xinfo", "-xrange", "-xrevrange"}, Strings{"resetkeys", "%W~*"});
  Stage stage;
  SetUser(stage, rules);
  Add(stage.redis, Event("s", "before"));
  WriteSpillFile(stage.folder, {Event("s", "a"), Event("s", "b"), Event("new", "c")});
  const Run run = DrainAs(stage);
  CHECK(run.exit_code == 0);
  CHECK(run.json["landed"] == 3);
  CHECK((EventIds(stage.redis, "s") == Strings{"before", "a", "b"}));
}

TEST_CASE("without XINFO what is in doubt is looked for; what is not found is sent, and unproven") {
  Stage stage;
  SetUser(stage, {"-xinfo"});
  const StreamId anchor = Add(stage.redis, Event("s", "before"));
  const ConnectionId gone{stage.redis.RunId(), 4242};
  const TestEvent landed = Event("s", "landed");
  Add(stage.redis, landed);
  WriteSpillFile(stage.folder, {InDoubt(landed, anchor, gone), Event("s", "certain")});
  const Run found = DrainAs(stage);
  CHECK(found.exit_code == 0);
  CHECK(found.json["already_there"] == 1);
  WriteSpillFile(stage.folder, {InDoubt(Event("s", "lost"), anchor, gone), Event("s", "certain too")});
  const Run lost = DrainAs(stage);
  CHECK(lost.exit_code == 1);
  CHECK(lost.json["result"] == "unproven");
  CHECK(lost.json["unproven"] == 1);
  CHECK(lost.json["landed"] == 2);
  CHECK((EventIds(stage.redis, "s") == Strings{"before", "landed", "certain", "lost", "certain too"}));
}

TEST_CASE("without XRANGE what is in doubt waits, and the other streams do not") {
  const Strings rules = GENERATE(Strings{"-xrange"}, Strings{"-xrange", "-xinfo", "-xrevrange"});
  Stage stage;
  SetUser(stage, rules);
  const TestEvent landed = Event("s", "landed");
  Add(stage.redis, landed);
  WriteSpillFile(stage.folder, {InDoubt(landed, kStreamBegin), Event("s", "behind it"), Event("other", "o")});
  const Run run = DrainAs(stage);
  CHECK(run.exit_code == 1);
  CHECK(run.json["result"] == "left");
  CHECK(run.json["left"] == 2);
  CHECK(run.json["landed"] == 1);
  CHECK(EventIds(stage.redis, "s").size() == 1);
  SetUser(stage, {});
  const Run allowed = DrainAs(stage);
  CHECK(allowed.exit_code == 0);
  CHECK(allowed.json["already_there"] == 1);
  CHECK((EventIds(stage.redis, "s") == Strings{"landed", "behind it"}));
}

}  // namespace
}  // namespace sprockets::testing
