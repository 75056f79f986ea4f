#include "sidecar/core/handshake.h"

#include <catch2/catch.hpp>

#include "tests/sidecar/core/handshake_answers.h"

namespace sprockets {
namespace {

using Kind = HandshakeStep::Kind;

const std::string kInfo =
    "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n# "
    "Replication\r\nrole:master\r\nloading:0\r\ncluster_enabled:0\r\n";

TEST_CASE("a master with all rights is usable and can be fenced") {
  Handshake handshake;
  handshake.Take(Kind::kInfo, Text(kInfo));
  handshake.Take(Kind::kClientId, Integer(7));
  handshake.Take(Kind::kMayKill, Integer(0));
  handshake.Take(Kind::kMayXinfo, Failure("ERR no such key"));
  CHECK(handshake.refusal.empty());
  CHECK(handshake.can_fence());
  CHECK(handshake.run_id == "abc");
  CHECK(handshake.MissingRights().empty());
}

TEST_CASE("what an acknowledgement of Redis is worth is known from INFO and CONFIG GET, or it is unknown") {
  const auto durability = [](const std::string& aof_enabled, const Handshake::Answer& append_fsync) {
    Handshake handshake;
    handshake.Take(Kind::kInfo, Text("role:master\r\naof_enabled:" + aof_enabled + "\r\n"));
    handshake.Take(Kind::kAppendFsync, append_fsync);
    return handshake.durability();
  };
  CHECK(durability("1", Text("always")) == Durability::kAlways);
  CHECK(durability("1", Text("everysec")) == Durability::kEverySecond);
  CHECK(durability("1", Text("no")) == Durability::kEverySecond);
  CHECK(durability("1", Failure("NOPERM no")) == Durability::kUnknown);
  CHECK(durability("1", Text("")) == Durability::kUnknown);
  CHECK(durability("0", Text("always")) == Durability::kNone);
  CHECK(durability("0", Failure("NOPERM no")) == Durability::kNone);
  CHECK(durability("", Text("always")) == Durability::kUnknown);
}

TEST_CASE("replicas, loading servers, clusters and failed logins are refused") {
  const auto refusal = [](std::string info) {
    Handshake handshake;
    handshake.Take(Kind::kInfo, Text(info));
    return handshake.refusal;
  };
  CHECK(refusal("run_id:a\r\nrole:slave\r\n").starts_with("READONLY"));
  CHECK(refusal("run_id:a\r\nrole:master\r\nloading:1\r\n").starts_with("LOADING"));
  CHECK(refusal("run_id:a\r\nrole:master\r\ncluster_enabled:1\r\n").find("cluster mode") != std::string::npos);
  CHECK(refusal("OK").find("no Redis") != std::string::npos);
  Handshake handshake;
  handshake.Take(Kind::kAuth, Failure("WRONGPASS invalid username-password pair"));
  handshake.Take(Kind::kInfo, Failure("NOAUTH Authentication required."));
  CHECK(handshake.refusal.starts_with("WRONGPASS"));
}

TEST_CASE("missing rights are named and make the fence incomplete, but the server is usable") {
  Handshake handshake;
  handshake.Take(Kind::kInfo, Failure("NOPERM this user has no permissions to run the 'info' command"));
  handshake.Take(Kind::kClientId, Integer(7));
  handshake.Take(Kind::kMayKill, Failure("NOPERM this user has no permissions to run the 'client|kill' command"));
  handshake.Take(Kind::kMayRange,
                 Failure("NOPERM this user has no permissions to access one of the keys used as arguments"));
  handshake.Take(Kind::kMayXinfo, Failure("NOPERM this user has no permissions to run the 'xinfo|stream' command"));
  CHECK(handshake.refusal.empty());
  CHECK_FALSE(handshake.can_fence());
  CHECK(handshake.may_range);
  CHECK_FALSE(handshake.may_xinfo);
  CHECK(handshake.MissingRights().find("INFO") != std::string::npos);
  CHECK(handshake.MissingRights().find("CLIENT KILL") != std::string::npos);
}

TEST_CASE("the login goes first and the database follows") {
  RedisUrl url;
  url.user = "u";
  url.password = "p";
  url.database = 3;
  const auto steps = HandshakeSteps(url);
  CHECK(steps[0].command == "*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$1\r\np\r\n");
  CHECK(steps[1].command == "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n");
}

TEST_CASE("a key that is forbidden is no missing right, however the server words it") {
  for (const char* words : {"NOPERM this user has no permissions to access one of the keys used as arguments",
                            "NOPERM No permissions to access a key"}) {
    Handshake handshake;
    handshake.Take(HandshakeStep::Kind::kMayRange, Failure(words));
    handshake.Take(HandshakeStep::Kind::kMayXinfo, Failure(words));
    CHECK(handshake.may_range);
    CHECK(handshake.may_xinfo);
  }
  Handshake handshake;
  handshake.Take(HandshakeStep::Kind::kMayXinfo,
                 Failure("NOPERM User alfred has no permissions to run the 'xinfo|stream' command"));
  CHECK_FALSE(handshake.may_xinfo);
}

}  // namespace
}  // namespace sprockets
