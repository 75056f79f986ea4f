// Whom a fence kills, who is dead without it, whom it does not reach, and when it covers all.
#include "shared/redis/fence.h"

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

using Connections = std::vector<ConnectionId>;

/// The fence after every kill was answered.
Fence Answered(const Connections& listed, const ConnectionId& self, bool with_numbers = true, bool may_kill = true) {
  Fence fence(listed, self, may_kill);
  while (!fence.answered()) fence.TakeAnswer(with_numbers);
  return fence;
}

TEST_CASE("a fence is aimed at connections of this life, each once, and never at itself") {
  const Fence fence(Connections{{"now", 3}, {"before", 4}, {"now", 9}, {"now", 3}, {"now", 1}, {"", 5}}, {"now", 9},
                    true);
  CHECK(fence.to_kill() == Connections{{"now", 1}, {"now", 3}});
}

TEST_CASE("a connection of another life is dead without a kill: its number may be a stranger's") {
  const Fence fence(Connections{{"before", 4}}, {"now", 9}, true);
  CHECK(fence.answered());
  CHECK(fence.dead() == Connections{{"before", 4}});
  CHECK(fence.alive().empty());
}

TEST_CASE("a number as answer says that the connection is dead, anything else that it may still deliver") {
  Fence fence(Connections{{"now", 1}, {"now", 2}}, {"now", 9}, true);
  CHECK_FALSE(fence.answered());
  fence.TakeAnswer(false);
  CHECK_FALSE(fence.answered());
  fence.TakeAnswer(true);
  CHECK(fence.answered());
  CHECK(fence.dead() == Connections{{"now", 2}});
  CHECK(fence.alive() == Connections{{"now", 1}});
}

TEST_CASE("where lives are not known nobody is killed, and whoever is listed may still deliver") {
  const Connections listed{{"", 3}, {"before", 4}};
  const Fence unknown_now = Answered(listed, {"", 3});
  CHECK(unknown_now.dead().empty());
  CHECK(unknown_now.alive() == Connections{{"before", 4}});
  const Fence unknown_then = Answered(listed, {"now", 3});
  CHECK(unknown_then.dead() == Connections{{"before", 4}});
  CHECK(unknown_then.alive() == Connections{{"", 3}});
}

TEST_CASE("nobody is killed by one who may not, nor one that has no number") {
  CHECK(Answered({{"now", 1}, {"before", 4}}, {"now", 9}, true, false).alive() == Connections{{"now", 1}});
  const Fence unnamed(Connections{{"now", 0}}, {"now", 9}, true);
  CHECK(unnamed.to_kill().empty());
  CHECK(unnamed.alive() == Connections{{"now", 0}});
}

TEST_CASE("a fence is complete when nobody but itself is left who may deliver something") {
  const ConnectionId self{"now", 9};
  const Connections listed{{"now", 1}, {"before", 4}, self};
  const Fence fence = Answered(listed, self);
  CHECK(fence.IsComplete(listed, false));
  CHECK(fence.IsComplete(Connections{self}, false));
  CHECK(fence.IsComplete({}, false));
  CHECK_FALSE(fence.IsComplete(listed, true));                          // others exist that nobody can name
  CHECK_FALSE(fence.IsComplete(Connections{self, {"now", 8}}, false));  // written down since
  CHECK_FALSE(Answered(listed, self, false).IsComplete(listed, false));
  CHECK_FALSE(Answered({{"", 1}}, self).IsComplete(Connections{{"", 1}}, false));
  CHECK_FALSE(Answered({}, self, true, false).IsComplete(Connections{self}, false));
}

}  // namespace
}  // namespace sprockets
