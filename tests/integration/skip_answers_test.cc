// Writes that are skipped while Redis is away (--skip-while-away): each is answered as Redis itself answers.
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

using Strings = std::vector<std::string>;

TEST_CASE("what is skipped is answered as Redis answers on an empty key, in either protocol", "[skip_answers]") {
  const std::vector<Command> commands = {
      {"ZINCRBY", "k", "5", "m"},
      {"ZINCRBY", "k", "-0.25", "m"},
      {"ZINCRBY", "k", "x", "m"},
      {"ZINCRBY", "k", "1"},
      {"ZADD", "k", "1", "a", "2", "b", "3", "a"},
      {"ZADD", "k", "CH", "1", "a", "2", "a"},
      {"ZADD", "k", "XX", "1", "a"},
      {"ZADD", "k", "INCR", "2", "a"},
      {"ZADD", "k", "XX", "INCR", "2", "a"},
      {"ZADD", "k", "NX", "GT", "2", "a"},
      {"ZADD", "k", "NX", "XX", "2", "a"},
      {"ZADD", "k", "INCR", "2", "a", "3", "b"},
      {"ZADD", "k", "2", "a", "3"},
      {"ZREM", "k", "a", "b"},
      {"HINCRBY", "k", "f", "-3"},
      {"HINCRBY", "k", "f", "1.5"},
      {"HINCRBYFLOAT", "k", "f", "10.50"},
      {"HINCRBYFLOAT", "k", "f", "5.0e3"},
      {"HSET", "k", "f", "1", "g", "2", "f", "3"},
      {"HSET", "k", "f", "1", "g"},
      {"HSETNX", "k", "f", "1"},
      {"HMSET", "k", "f", "1"},
      {"HDEL", "k", "f"},
      {"INCR", "k"},
      {"INCRBY", "k", "7"},
      {"INCRBY", "k", "+7"},
      {"INCRBYFLOAT", "k", "3.14"},
      {"DECR", "k"},
      {"DECRBY", "k", "-9223372036854775808"},
      {"SET", "k", "v"},
      {"SETNX", "k", "v"},
      {"SADD", "k", "a", "b", "a"},
      {"SREM", "k", "a"},
      {"DEL", "k", "k"},
      {"UNLINK", "k"},
      {"EXPIRE", "k", "10"},
      {"EXPIRE", "k", "ten"},
      {"EXPIRE", "k", "10", "xx", "gt"},
      {"EXPIRE", "k", "10", "NX", "XX"},
      {"EXPIRE", "k", "10", "GT", "LT"},
      {"EXPIRE", "k", "ten", "soon"},
      {"HINCRBYFLOAT", "k", "f", "inf"},
      {"INCRBYFLOAT", "k", "-inf"},
      {"ZINCRBY"},
      {"DEL"},
      {"PERSIST", "k"},
      {"TYPE", "k"},
      {"EXISTS", "k", "k"},
      {"TTL", "k"},
      {"PTTL", "k"},
      {"ZCARD", "k"},
      {"ZSCORE", "k", "m"},
      {"HLEN", "k"},
      {"HGET", "k", "f"},
      {"HEXISTS", "k", "f"},
      {"SCARD", "k"},
      {"SISMEMBER", "k", "m"},
      {"STRLEN", "k"},
      {"GET", "k"},
  };
  Strings rules;
  for (const Command& command : commands) {
    rules.emplace_back("--skip-while-away");
    rules.push_back(command[0] + " k");
  }
  Stack stack({.redis_up = false, .sidecar_options = rules});
  RedisServer other(stack.folder / "other");
  std::filesystem::create_directories(stack.folder / "other");
  other.Start();
  for (const char* protocol : {"2", "3"}) {
    RespClient redis = other.Connect();
    RespClient door = stack.sidecar.Connect();
    redis.RawCall({"HELLO", protocol});
    door.RawCall({"HELLO", protocol});
    for (const Command& command : commands) {
      INFO(protocol << " " << command.front() << " " << command.back());
      redis.RawCall({"FLUSHALL"});
      CHECK(door.RawCall(command) == redis.RawCall(command));
    }
  }
}

}  // namespace
}  // namespace sprockets::harness
