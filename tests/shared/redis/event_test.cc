#include "shared/redis/event.h"

#include <string>

#include <catch2/catch.hpp>

#include "shared/base/limits.h"
#include "shared/redis/resp.h"

namespace sprockets {
namespace {

std::string XaddError(const std::vector<std::string_view>& args) {
  EventView event;
  const Status status = ParseXadd(args, "event_id", &event);
  return status.ok() ? "" : status.error().message;
}

TEST_CASE("what Redis would refuse whatever its state is refused at the door") {
  CHECK(XaddError({"XADD"}) != "");
  CHECK(XaddError({"XADD", "s", "*", "f"}) != "");
  CHECK(XaddError({"XADD", "s", "*", "f", "v", "g"}) != "");
  CHECK(XaddError({"XADD", "", "*", "f", "v"}) != "");
  CHECK(XaddError({"XADD", "s", "1-1", "f", "v"}).find("explicit id") != std::string::npos);
  CHECK(XaddError({"XADD", "s", "0-*", "f", "v"}).find("explicit id") != std::string::npos);
  CHECK(XaddError({"XADD", "s", "1-1\r\n", "f", "v"}).find("explicit id") != std::string::npos);
  CHECK(XaddError({"XADD", "s", "MAXLEN", "0", "*", "f", "v"}) != "");
  CHECK(XaddError({"XADD", "s", "MAXLEN", "-1", "*", "f", "v"}) != "");
  CHECK(XaddError({"XADD", "s", "MAXLEN", "~", "x", "*", "f", "v"}) != "");
  CHECK(XaddError({"XADD", "s", "MAXLEN", "10", "LIMIT", "5", "*", "f", "v"}) != "");
  CHECK(XaddError({"XADD", "s", "LIMIT", "5", "*", "f", "v"}) != "");
  CHECK(XaddError({"XADD", "s", "MAXLEN", "~", "10", "LIMIT", "-5", "*", "f", "v"}) != "");
  CHECK(XaddError({"XADD", "s", "MAXLEN", "10", "MINID", "5", "*", "f", "v"}) != "");
  CHECK(XaddError({"XADD", "s", "MINID", "x", "*", "f", "v"}) != "");
  CHECK(XaddError({"XADD", "s", "MAXLEN", "10", "f", "v", "g", "w"}) != "");
  CHECK(XaddError({"XADD", "s", "*", "event_id", ""}) != "");
  CHECK(XaddError({"XADD", "s", "*", "event_id", std::string(257, 'x')}) != "");
}

TEST_CASE("options are kept as given and the first event id counts") {
  const std::vector<std::string_view> args{"xadd", "s", "nomkstream", "maxlen",   "~", "10",       "limit", "0",
                                           "*",    "a", "1",          "event_id", "E", "event_id", "F"};
  EventView event;
  REQUIRE(ParseXadd(args, "event_id", &event).ok());
  CHECK(event.no_mkstream);
  CHECK(event.options == std::vector<std::string_view>{"maxlen", "~", "10", "limit", "0"});
  CHECK(event.event_id() == "E");
  CHECK(event.fields.size() == 6);
  std::string wire;
  AppendXadd(wire, event);
  std::vector<std::string_view> again;
  REQUIRE(ParseWholeCommand(wire, &again));
  CHECK(again == std::vector<std::string_view>{"XADD", "s", "maxlen", "~", "10", "limit", "0", "*", "a", "1",
                                               "event_id", "E", "event_id", "F"});
}

TEST_CASE("a field of the name of an option is a field behind the star") {
  CHECK(XaddError({"XADD", "s", "*", "MAXLEN", "0"}).empty());
  CHECK(XaddError({"XADD", "s", "MINID", "=", "5-1", "*", "f", "v"}).empty());
  CHECK(XaddError({"XADD", "s", "MINID", "5", "*", "f", "v"}).empty());
}

TEST_CASE("identity is stream, id and every other field, whatever their order, and nothing else") {
  const IdentityHasher hasher;
  const auto identity = [&](std::vector<std::string_view> args) {
    EventView event;
    REQUIRE(ParseXadd(args, "event_id", &event).ok());
    return hasher.Of(event);
  };
  const EventIdentity one = identity({"XADD", "s", "*", "event_id", "E", "a", "1", "b", "2"});
  CHECK(identity({"XADD", "s", "MAXLEN", "7", "*", "a", "1", "event_id", "E", "b", "2"}) == one);
  CHECK_FALSE(identity({"XADD", "t", "*", "event_id", "E", "a", "1", "b", "2"}).who == one.who);
  CHECK_FALSE(identity({"XADD", "s", "*", "event_id", "F", "a", "1", "b", "2"}).who == one.who);
  const EventIdentity other_payload = identity({"XADD", "s", "*", "event_id", "E", "a", "1", "b", "3"});
  CHECK(other_payload.who == one.who);
  CHECK_FALSE(other_payload.what == one.what);
  CHECK(identity({"XADD", "s", "*", "event_id", "E", "b", "2", "a", "1"}) == one);
  CHECK_FALSE(identity({"XADD", "s", "*", "event_id", "E", "a", "2", "b", "1"}).what == one.what);
  CHECK_FALSE(identity({"XADD", "s", "*", "event_id", "E", "a", "1", "a", "1", "b", "2"}).what == one.what);
  CHECK_FALSE(identity({"XADD", "s", "*", "event_id", "E", "a", "1b", "b", "2"}).what ==
              identity({"XADD", "s", "*", "event_id", "E", "a", "1", "bb", "2"}).what);
  CHECK_FALSE(IdentityHasher().Of("s", std::vector<std::string_view>{"event_id", "E"}, 1) ==
              hasher.Of("s", std::vector<std::string_view>{"event_id", "E"}, 1));
}

TEST_CASE("4096 fields may come with an id and without one, and one more is refused") {
  std::vector<std::string_view> args = {"XADD", "s", "*"};
  for (size_t i = 0; i < kMaxFields; ++i) args.insert(args.end(), {"f", "v"});
  EventView event;
  CHECK(ParseXadd(args, "event_id", &event).ok());
  args.insert(args.end(), {"event_id", "E"});  // by the client, or by the sidecar
  CHECK(ParseXadd(args, "event_id", &event).ok());
  args.insert(args.end(), {"event_id", "a second one is a field"});
  CHECK_FALSE(ParseXadd(args, "event_id", &event).ok());
}

}  // namespace
}  // namespace sprockets
