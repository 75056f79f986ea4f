// The door: what clients may say, what they are answered, and that a bad client harms nobody but itself.
#include <atomic>
#include <chrono>
#include <fstream>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/ledger.h"
#include "tests/harness/stack.h"

namespace sprockets::harness {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

using Type = Reply::Type;

// ---- Broken RESP

TEST_CASE("broken RESP is answered with a protocol error and the end of that connection alone", "[door]") {
  Stack stack;
  RespClient witness = stack.sidecar.Connect();
  const std::vector<std::string> broken = {
      "*x\r\n",
      "*1x\r\n$4\r\nPING\r\n",
      "*99999999999999999999\r\n",
      "*2147483648\r\n",
      "*1\r\nPING\r\n",
      "*1\r\n:4\r\n",
      "*1\r\n$\r\n",
      "*1\r\n$x\r\nPING\r\n",
      "*1\r\n$-1\r\n",
      "*1\r\n$-5\r\n",
      "*1\r\n$2147483648\r\n",
      "*1\r\n$99999999999999999999\r\n",
      "*1\r\n$4\r\nPINGPING\r\n",
      "*2\r\n$4\r\nXADD\r\n*1\r\n$1\r\na\r\n",
      "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\na\r\n$-1\r\n",
      "PING \"unbalanced\r\n",
      std::string(70'000, 'a'),
  };
  for (const std::string& bytes : broken) {
    INFO(bytes.substr(0, 60));
    RespClient client = stack.sidecar.Connect();
    client.SendRaw(bytes);
    const Reply reply = client.Read();
    CHECK(reply.IsError("ERR"));
    CHECK(reply.text.find("Protocol error") != std::string::npos);
    CHECK(client.WaitClosed());
    CHECK(witness.Call({"XADD", "issue-stream", "*", "data", bytes}).Landed());
  }
  CHECK(stack.Length("issue-stream") == broken.size());
}

TEST_CASE("commands before a protocol error are answered, in order", "[door]") {
  Stack stack;
  RespClient client = stack.sidecar.Connect();
  client.SendRaw("PING\r\n*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\na\r\n$1\r\nb\r\n*x\r\n");
  CHECK(client.Read().text == "PONG");
  CHECK(client.Read().Landed());
  CHECK(client.Read().IsError("ERR"));
  CHECK(client.WaitClosed());
}

TEST_CASE("empty commands are passed over, pieces put together, inline commands understood", "[door]") {
  Stack stack;
  RespClient client = stack.sidecar.Connect();
  client.SendRaw("*0\r\n*-1\r\n\r\n\n   \r\n");
  for (const char byte : "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\na\r\n$2\r\n\r\n\r\n"s)
    client.SendRaw(std::string(1, byte));
  CHECK(client.Read().Landed());
  client.SendRaw("xadd s * a \"two words\\x00\"\r\n");
  CHECK(client.Read().Landed());
  RespClient redis = stack.redis.Connect();
  const auto entries = ReadStream(redis, "s");
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].at(1) == "\r\n");
  CHECK(entries[1].at(1) == "two words\0"s);
}

TEST_CASE("half a command, then silence, and a client that never reads are cut off; an idle one is not", "[door]") {
  Stack stack;
  RespClient idle = stack.sidecar.Connect();
  CHECK(idle.Call({"PING"}).text == "PONG");
  RespClient half = stack.sidecar.Connect();
  half.SendRaw("*3\r\n$4\r\nXADD\r\n$100\r\nissue");
  RespClient deaf = stack.sidecar.Connect();
  std::string echoes;
  const std::string echo = "*2\r\n$4\r\nECHO\r\n$60000\r\n" + std::string(60'000, 'e') + "\r\n";
  for (int i = 0; i < 200; ++i) echoes += echo;
  CHECK(deaf.SendUntilBlocked(echoes, 500ms) < echoes.size());

  CHECK(half.WaitClosed(60s));
  const auto clients = [&] { return idle.Call({"INFO", "sprockets"}).text; };
  CHECK(WaitUntil([&] { return clients().find("connected_clients:1\r\n") != std::string::npos; }, 60s));
  CHECK(stack.Xadd("issue-stream", {"data", "1"}).Landed());
}

// ---- What XADD is answered

TEST_CASE("a client that sends and is gone before it is read takes nobody along", "[door]") {
  Stack stack;
  for (const std::string_view sent :
       {"PING\r\n", "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\na\r\n$1\r\nb\r\n", "*3\r\n$4"}) {
    INFO(sent);
    {
      RespClient client = stack.sidecar.Connect();
      CHECK(client.Call({"PING"}).text == "PONG");
      stack.sidecar.Stop();  // so that it finds the bytes and the end at once
      client.SendRaw(sent);
    }
    stack.sidecar.Continue();
    REQUIRE(WaitUntil([&] { return stack.sidecar.Answers() || !stack.sidecar.Running(); }));
    REQUIRE(stack.sidecar.Running());
  }
  CHECK(WaitUntil([&] { return stack.Length("s") == 1; }));
}

TEST_CASE("an XADD that can never be stored is INVALID, and the connection stays", "[door]") {
  // Where commands are relayed an id of the client's is Redis's business.
  Stack stack({.sidecar_options = {"--max-event-bytes", "64KiB", "--relay", "off"}});
  RespClient client = stack.sidecar.Connect();
  const std::vector<Command> invalid = {
      {"XADD"},
      {"XADD", "s"},
      {"XADD", "s", "*"},
      {"XADD", "s", "*", "field"},
      {"XADD", "s", "*", "a", "b", "odd"},
      {"XADD", "", "*", "a", "b"},
      {"XADD", "s", "1-1", "a", "b"},
      {"XADD", "s", "1-*", "a", "b"},
      {"XADD", "s", "1", "a", "b"},
      {"XADD", "s", "MAXLEN", "0", "*", "a", "b"},
      {"XADD", "s", "MAXLEN", "-1", "*", "a", "b"},
      {"XADD", "s", "MAXLEN", "many", "*", "a", "b"},
      {"XADD", "s", "MAXLEN", "10", "LIMIT", "5", "*", "a", "b"},
      {"XADD", "s", "MAXLEN", "10", "MINID", "5", "*", "a", "b"},
      {"XADD", "s", "MINID", "x", "*", "a", "b"},
      {"XADD", "s", "NONSENSE", "*", "a", "b"},
      {"XADD", std::string(2000, 's'), "*", "a", "b"},
      {"XADD", "s", "*", "event_id", "", "a", "b"},
      {"XADD", "s", "*", "event_id", std::string(257, 'i'), "a", "b"},
      {"XADD", "s", "*", "a", std::string(100'000, 'b')},
      {"XADD", "s", "*", "a", std::string(5'000'000, 'b')},
  };
  for (const Command& command : invalid) {
    const Reply reply = client.Call(command);
    INFO(command.size() << " words, the last one of " << command.back().size() << " bytes: " << reply);
    CHECK(reply.IsError("INVALID"));
  }
  Command wide = {"XADD", "s", "*"};
  for (int i = 0; i < 5000; ++i) wide.insert(wide.end(), {"f", "v"});
  CHECK(client.Call(wide).IsError("INVALID"));
  CHECK(client.Call({"XADD", "s", "*", "a", "b"}).Landed());
  CHECK(stack.Length("s") == 1);
}

TEST_CASE("options of XADD reach Redis", "[door]") {
  Stack stack;
  CHECK(stack.sidecar.Call({"XADD", "s", "NOMKSTREAM", "*", "a", "b"}).type == Type::kNull);
  for (int i = 0; i < 5; ++i) CHECK(stack.sidecar.Call({"xadd", "s", "maxlen", "=", "3", "*", "a", "b"}).Landed());
  CHECK(stack.Length("s") == 3);
  CHECK(stack.sidecar.Call({"XADD", "s", "NOMKSTREAM", "MAXLEN", "~", "1000", "LIMIT", "10", "*", "a", "b"}).Landed());
  CHECK(stack.Length("s") == 4);
}

TEST_CASE("streams that are not allowed, or one too many, are INVALID", "[door]") {
  Stack stack({.sidecar_options = {"--streams", "bounty-*", "--streams", "issue-*", "--max-streams", "2"}});
  CHECK(stack.Xadd("bounty-stream", {"a", "b"}).Landed());
  CHECK(stack.Xadd("other", {"a", "b"}).IsError("INVALID"));
  CHECK(stack.Xadd("issue-stream", {"a", "b"}).Landed());
  CHECK(stack.Xadd("issue-stream-2", {"a", "b"}).IsError("INVALID"));
  CHECK(stack.Xadd("issue-stream", {"a", "b"}).Landed());
}

TEST_CASE("replies keep the order of the requests, whichever path each event took", "[door]") {
  Stack stack({.through_proxy = true});
  stack.redis.Call({"SET", "refused", "not a stream"});
  stack.proxy->DelayReplies(50ms);
  std::vector<Command> commands;
  for (int i = 0; i < 50; ++i) {
    const std::string n = std::to_string(i);
    commands.insert(commands.end(), {{"XADD", "s", "*", "n", n},
                                     {"ECHO", n},
                                     {"XADD", "refused", "*", "n", n},
                                     {"XADD", "s", "*", "n"},
                                     {"NONSENSE", n}});
  }
  RespClient client = stack.sidecar.Connect();
  const std::vector<Reply> replies = client.Pipeline(commands);
  for (size_t i = 0; i < replies.size(); i += 5) {
    INFO(i << ": " << replies[i] << replies[i + 1] << replies[i + 2] << replies[i + 3] << replies[i + 4]);
    CHECK(replies[i].Landed());
    CHECK(replies[i + 1].text == std::to_string(i / 5));
    CHECK(replies[i + 2].Spilled());
    CHECK(replies[i + 3].IsError("INVALID"));
    CHECK(replies[i + 4].IsError("ERR"));
  }
}

TEST_CASE("a client that sends more than Redis takes is not read any further, and loses nothing", "[door]") {
  Stack stack({.sidecar_options = {"--redis-timeout", "60s", "--max-inflight-bytes", "64KiB"}});
  REQUIRE(stack.Xadd("s", {"n", "first"}).Landed());
  stack.redis.Stop();
  const std::string xadd =
      "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\na\r\n$1000\r\n" + std::string(1000, 'b') + "\r\n";
  constexpr size_t kCommands = 8000;
  std::string bytes;
  for (size_t i = 0; i < kCommands; ++i) bytes += xadd;
  RespClient client = stack.sidecar.Connect();
  const size_t taken = client.SendUntilBlocked(bytes, 500ms);
  CHECK(taken < bytes.size() / 2);

  stack.redis.Continue();
  client.SendRaw(std::string_view(bytes).substr(taken));
  for (size_t i = 0; i < kCommands; ++i) REQUIRE(client.Read().Landed());
  CHECK(stack.Length("s") == kCommands + 1);
}

// ---- Everything that is not XADD

TEST_CASE("what clients say before their first XADD is answered as Redis would", "[door]") {
  Stack stack;
  RespClient client = stack.sidecar.Connect();
  const auto call = [&](const Command& command) { return client.Call(command); };
  CHECK(call({"PING"}) == Reply{.type = Type::kSimple, .text = "PONG", .integer = 0, .elements = {}});
  CHECK(call({"ping", "hello"}).text == "hello");
  CHECK(call({"ECHO", "x\r\ny"}).text == "x\r\ny");
  CHECK(call({"HELLO", "4"}).IsError("NOPROTO"));
  CHECK(call({"HELLO", "2"}).type == Type::kArray);
  CHECK(call({"HELLO", "2", "AUTH", "default", "x", "SETNAME", "me"}).type == Type::kArray);
  CHECK(call({"CLIENT", "GETNAME"}).text == "me");
  CHECK(call({"AUTH", "password"}).text == "OK");
  CHECK(call({"AUTH", "user", "password"}).text == "OK");
  CHECK(call({"SELECT", "0"}).text == "OK");
  CHECK(call({"SELECT", "1"}).IsError("ERR"));
  CHECK(call({"CLIENT", "SETNAME", "alfred"}).text == "OK");
  CHECK(call({"CLIENT", "SETINFO", "LIB-NAME", "x"}).text == "OK");
  CHECK(call({"CLIENT", "GETNAME"}).text == "alfred");
  CHECK(call({"CLIENT", "ID"}).type == Type::kInteger);
  CHECK(call({"CLIENT", "MAINT_NOTIFICATIONS", "ON"}).IsError("ERR"));
  CHECK(call({"COMMAND"}).type == Type::kArray);
  CHECK(call({"COMMAND", "COUNT"}).type == Type::kInteger);
  CHECK(call({"CONFIG", "GET", "save"}).type == Type::kArray);
  const std::string info = call({"INFO"}).text;
  for (const char* line : {"role:master\r\n", "loading:0\r\n", "# Sprockets\r\n"})
    CHECK(info.find(line) != std::string::npos);
  CHECK(call({"RESET"}).text == "RESET");
  CHECK(call({"NONSENSE", "x"}).text.starts_with("ERR unknown command"));
  CHECK(call({"QUIT"}).text == "OK");
  CHECK(client.WaitClosed());
}

TEST_CASE("SPROCKETS STATUS is the documented JSON", "[door]") {
  Stack stack;
  REQUIRE(stack.Xadd("s", {"a", "b"}).Landed());
  const nlohmann::json status = stack.sidecar.Status();
  INFO(status);
  CHECK(status.at("mode") == "redis");
  CHECK(status.at("redis").at("breaker") == "closed");
  CHECK(status.at("redis").at("run_id").get<std::string>().size() == 40);
  CHECK(status.at("redis").contains("state"));
  for (const char* counter : {"accepted", "landed", "spilled", "in_doubt", "deduplicated", "refused"})
    CHECK(status.at("counters").at(counter).is_number());
  CHECK(status.at("counters").at("landed") == 1);
  for (const char* what : {"rows", "bytes", "oldest_ms"}) CHECK(status.at("spill").at(what).is_number());
  CHECK(status.at("spill").at("files").is_array());
  for (const char* what : {"events", "bytes"}) CHECK(status.at("in_flight").at(what) == 0);
}

TEST_CASE("STATUS and the log say what an acknowledgement of Redis is worth", "[door]") {
  struct Expected {
    std::vector<std::string> options;
    std::string durability;
    std::string words;
  };
  for (const auto& [options, durability, words] : std::vector<Expected>{
           {{}, "always", ""},
           {{"--appendfsync", "everysec"}, "everysec", "the last second"},
           {{"--appendonly", "no"}, "none", "since its last snapshot"},
           {{"--user", "default", "on", "nopass", "~*", "&*", "+@all", "-config"}, "unknown", "may not read"}}) {
    INFO(durability);
    Stack stack({.redis_options = options});
    CHECK(stack.sidecar.Status().at("redis").at("durability") == durability);
    CHECK(stack.sidecar.Terminate() == 0);
    const std::string log = stack.sidecar.process().Stderr();
    CHECK((log.find("redis-durability") != std::string::npos) == (durability != "always"));
    CHECK(log.find(words) != std::string::npos);
  }
}

TEST_CASE("large commands that come all at once wait for each other, and every one is taken", "[door]") {
  Stack stack({.redis_up = false});
  constexpr size_t kLargeClients = 60;  // a megabyte each: twice what the sidecar keeps of half-read commands
  std::atomic<size_t> acknowledged = 0;
  std::vector<std::thread> clients;
  for (size_t i = 0; i < kLargeClients; ++i) {
    clients.emplace_back([&] {
      RespClient client = stack.sidecar.Connect();
      if (client.Call({"XADD", "s", "*", "large", std::string(1'000'000, 'x')}).Acknowledged()) ++acknowledged;
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(acknowledged == kLargeClients);
}

TEST_CASE("a storm of unknown commands is answered, each one, and the connection stays", "[door]") {
  Stack stack;
  RespClient client = stack.sidecar.Connect();
  const std::vector<Command> storm(20'000, Command{"NONSENSE", "now"});
  for (const Reply& reply : client.Pipeline(storm)) REQUIRE(reply.text.starts_with("ERR unknown command"));
  CHECK(client.Call({"XADD", "s", "*", "a", "b"}).Landed());
}

// ---- The socket

TEST_CASE("the socket has its mode, and a path over 107 bytes is refused by name", "[door]") {
  TempDir folder;
  Sidecar sidecar({.folder = folder.path(),
                   .redis_url = "redis://127.0.0.1:1",
                   .spill_dir = {},
                   .arguments = {"--socket-mode", "0600"}});
  sidecar.Start();
  struct stat found {};
  REQUIRE(stat(sidecar.socket_path().c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0600);

  Stack by_default({.redis_up = false});
  REQUIRE(stat(by_default.sidecar.socket_path().c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0660);

  const auto long_folder = folder / std::string(100, 'x');
  std::filesystem::create_directory(long_folder);
  Sidecar refused({.folder = long_folder, .redis_url = "redis://127.0.0.1:1", .spill_dir = {}, .arguments = {}});
  refused.StartWithoutWaiting();
  CHECK(refused.process().Wait() == 2);
  CHECK(refused.process().Stderr().find("--socket") != std::string::npos);
  CHECK(refused.process().Stderr().find("107") != std::string::npos);
}

TEST_CASE("a dead sidecar's socket is replaced; a live one's, and a file, are not", "[door]") {
  Stack stack({.redis_up = false});
  stack.sidecar.Kill9();
  REQUIRE(std::filesystem::exists(stack.sidecar.socket_path()));
  stack.sidecar.Start();

  Sidecar second({.folder = stack.folder.path(),
                  .redis_url = stack.redis.Url(),
                  .spill_dir = stack.folder / "other-spill",
                  .arguments = {}});
  second.StartWithoutWaiting();
  CHECK(second.process().Wait() == 3);
  CHECK(stack.sidecar.Answers());

  const auto other = stack.folder / "other";
  std::filesystem::create_directory(other);
  std::ofstream(other / "sidecar.sock") << "precious";
  Sidecar third({.folder = other, .redis_url = stack.redis.Url(), .spill_dir = {}, .arguments = {}});
  third.StartWithoutWaiting();
  CHECK(third.process().Wait() == 3);
  CHECK(ReadWholeFile(other / "sidecar.sock") == "precious");
}

}  // namespace
}  // namespace sprockets::harness
