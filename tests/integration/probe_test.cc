// --check-config --probe: a wrong address, password or server is told from an outage before anybody starts.
#include <stdexcept>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/postgres_server.h"
#include "tests/harness/process.h"
#include "tests/harness/redis_server.h"
#include "tests/harness/set_stage.h"
#include "tests/harness/sidecar.h"
#include "tests/harness/temp_dir.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

using Strings = std::vector<std::string>;

struct Probes {
  TempDir folder;

  RunResult Sidecar(const std::string& redis) const {
    return RunSidecar(folder.path(),
                      {"--socket", (folder / "door").string(), "--spill-dir", (folder / "spill").string(), "--redis",
                       redis, "--redis-timeout", "2s", "--check-config", "--probe"});
  }
  RunResult Replayer(const std::string& command, Strings options) const {
    options.insert(options.begin(), command);
    options.insert(options.end(), {"--check-config", "--probe"});
    return RunReplayer(folder.path(), options);
  }
  /// Both programs say the same of a Redis.
  void Expect(const std::string& redis, int exit_code, const std::string& words) const {
    INFO(redis);
    const RunResult sidecar = Sidecar(redis);
    INFO("sidecar: " << sidecar.out << sidecar.err);
    CHECK(sidecar.exit_code == exit_code);
    CHECK((sidecar.out + sidecar.err).find(words) != std::string::npos);
    const RunResult replayer = Replayer("drain", {"--spill-dir", folder.path().string(), "--redis", redis});
    INFO("replayer: " << replayer.out << replayer.err);
    CHECK(replayer.exit_code == exit_code);
    CHECK((replayer.out + replayer.err).find(words) != std::string::npos);
    CHECK((sidecar.out + sidecar.err + replayer.out + replayer.err).find("hush") == std::string::npos);
    CHECK_FALSE(std::filesystem::exists(folder / "spill"));
    CHECK_FALSE(std::filesystem::exists(folder / "door"));
  }
};

std::string UrlOf(const RedisServer& redis, const std::string& login = "") {
  return "redis://" + login + "127.0.0.1:" + std::to_string(redis.port());
}

/// One that answers, be it with an error.
struct ProbedServer : RedisServer {
  ProbedServer(const TempDir& folder, const std::string& name, const Strings& options)
      : RedisServer((std::filesystem::create_directories(folder / name), folder / name), options) {
    StartWithoutWaiting();
    Await(name.c_str(), [&] {
      if (!Running()) throw std::runtime_error(name + " ended: " + process().Stdout() + process().Stderr());
      try {
        Call({"PING"});
        return true;
      } catch (const ConnectionClosed&) {
        return false;
      }
    });
  }
};

TEST_CASE("a Redis that can be used is told from one that cannot, and from none", "[probe]") {
  const Probes probes;
  ProbedServer master(probes.folder, "master", {"--requirepass", "hush", "--databases", "2"});
  ProbedServer replica(probes.folder, "replica", {"--replicaof", "127.0.0.1 " + std::to_string(master.port())});
  ProbedServer cluster(probes.folder, "cluster", {"--cluster-enabled", "yes"});
  probes.Expect(UrlOf(master, ":hush@") + "/1", 0, "is a master and takes the login");
  probes.Expect(UrlOf(master, ":hush-no@"), 4, "WRONGPASS");
  probes.Expect(UrlOf(master), 4, "NOAUTH");
  probes.Expect(UrlOf(master, ":hush@") + "/2", 4, "DB index is out of range");
  probes.Expect(UrlOf(replica), 4, "master");
  probes.Expect(UrlOf(cluster), 4, "cluster mode");
  master.Stop();
  probes.Expect(UrlOf(master, ":hush@"), 3, "answer");
  master.Kill9();
  probes.Expect(UrlOf(master, ":hush@"), 3, "Connection refused");
  probes.Expect("unix:///nowhere/redis.sock", 3, "No such file");
}

TEST_CASE("what a Redis is worth, and which rights are missing, is said before the sidecar starts", "[probe]") {
  const Probes probes;
  ProbedServer redis(probes.folder, "redis",
                     {"--appendonly", "yes", "--appendfsync", "everysec", "--user", "narrow", "on", "nopass", "~*",
                      "+xadd", "+info", "+config"});
  const RunResult sidecar = probes.Sidecar(UrlOf(redis, "narrow:@"));
  INFO(sidecar.out << sidecar.err);
  CHECK(sidecar.exit_code == 0);
  CHECK(sidecar.out.find("the last second of acknowledged events can be lost") != std::string::npos);
  CHECK(sidecar.out.find("missing rights: ") != std::string::npos);
  CHECK(sidecar.out.find("CLIENT KILL") != std::string::npos);
}

TEST_CASE("what --ack disk needs of a Redis is asked for before the sidecar starts", "[probe]") {
  const Probes probes;
  const Strings narrow = {"on", "nopass", "~*", "+xadd", "+xinfo", "+xrange", "+xrevrange", "+info", "+client"};
  Strings options = {"--appendonly", "no"};
  const auto add_user = [&](const char* name, Strings more) {
    options.insert(options.end(), {"--user", name});
    options.insert(options.end(), narrow.begin(), narrow.end());
    options.insert(options.end(), more.begin(), more.end());
  };
  add_user("all", {"+multi", "+exec", "+watch", "+set"});
  add_user("guardless", {"+multi", "+exec"});
  add_user("forward", {"+multi", "+exec", "+watch", "+set", "-xrevrange"});
  add_user("none", {});
  add_user("reader", {"+multi", "+exec", "+watch", "+set", "-xadd"});
  ProbedServer redis(probes.folder, "redis", options);
  const auto probe = [&](const std::string& user) {
    return RunSidecar(probes.folder.path(),
                      {"--socket", "door", "--spill-dir", "spill", "--redis", UrlOf(redis, user + ":@"), "--ack",
                       "disk", "--redis-timeout", "2s", "--check-config", "--probe"});
  };
  const RunResult all = probe("all");
  INFO(all.out << all.err);
  CHECK(all.exit_code == 0);
  CHECK(all.out.find("on the sidecar's disk") != std::string::npos);
  CHECK(all.out.find("missing rights") == std::string::npos);
  const RunResult guardless = probe("guardless");
  INFO(guardless.out << guardless.err);
  CHECK(guardless.exit_code == 0);
  CHECK(guardless.out.find("sprockets:guard") != std::string::npos);
  const RunResult forward = probe("forward");
  INFO(forward.out << forward.err);
  CHECK(forward.exit_code == 0);
  CHECK(forward.out.find("missing rights: XREVRANGE: ") != std::string::npos);
  const RunResult none = probe("none");
  INFO(none.out << none.err);
  CHECK(none.exit_code == 4);
  CHECK(none.err.find("+multi") != std::string::npos);
  const RunResult reader = probe("reader");
  INFO(reader.out << reader.err);
  CHECK(reader.exit_code == 4);
  CHECK(reader.err.find("+xadd") != std::string::npos);
  CHECK(redis.Call({"EXISTS", "sprockets:guard"}).integer == 0);
}

/// Answers every command likewise; without an answer, with a text that comes a byte at a time and has no end.
constexpr const char* kStrangeServer = R"py(
import socket, sys, threading, time
path, answer = sys.argv[1], sys.argv[2].encode().decode("unicode_escape").encode()
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
def serve(client):
    try:
        while data := client.recv(65536):
            if not answer:
                client.sendall(b"$100000\r\n")
                while True:
                    client.sendall(b"x")
                    time.sleep(0.05)
            client.sendall(answer * data.count(b"*"))
    except OSError:
        pass
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
)py";

TEST_CASE("a server that is no Redis, or never comes to an end, is not taken for one that can be used", "[probe]") {
  const Probes probes;
  const auto probe = [&](const char* name, const char* answer) {
    std::filesystem::create_directories(probes.folder / name);
    const std::string socket = (probes.folder / name / "socket").string();
    const Process server({.command = {"python3", "-c", kStrangeServer, socket, answer},
                          .output = probes.folder / name / "out",
                          .environment = {}});
    Await("the server", [&] { return std::filesystem::exists(socket); });
    return RunSidecar(probes.folder.path(), {"--socket", "door", "--spill-dir", "spill", "--redis", "unix://" + socket,
                                             "--redis-timeout", "300ms", "--check-config", "--probe"});
  };
  const RunResult yes = probe("yes", "+OK\\r\\n");
  INFO(yes.out << yes.err);
  CHECK(yes.exit_code == 4);
  CHECK(yes.err.find("no Redis") != std::string::npos);
  const RunResult slow = probe("slow", "");
  INFO(slow.out << slow.err);
  CHECK(slow.exit_code == 3);
  CHECK(slow.err.find("not all of it was answered") != std::string::npos);
  const RunResult huge = probe("huge", "*1000000000\\r\\n");
  INFO(huge.out << huge.err);
  CHECK(huge.exit_code == 3);
  CHECK(huge.err.find("does not answer") != std::string::npos);
}

TEST_CASE("a command asks all of its servers, and --probe alone is no command", "[probe]") {
  const Probes probes;
  ProbedServer redis(probes.folder, "redis", {});
  PostgresServer& postgres = PostgresServer::Shared();
  const std::string set = SchemaFolder("season_of_code").string();
  const Strings usable = {"--schema", set, "--redis", UrlOf(redis), "--postgres", postgres.Url("postgres")};
  const RunResult both = probes.Replayer("rebuild", usable);
  INFO(both.out << both.err);
  CHECK(both.exit_code == 0);
  CHECK(both.out.find("redis: ") != std::string::npos);
  CHECK(both.out.find("postgres: database postgres") != std::string::npos);
  const RunResult no_database = probes.Replayer(
      "rebuild", {"--schema", set, "--redis", UrlOf(redis), "--postgres", postgres.Url("no_such_database")});
  INFO(no_database.out << no_database.err);
  CHECK(no_database.exit_code == 4);
  CHECK(no_database.err.find("no_such_database") != std::string::npos);
  CHECK(probes.Replayer("show", {"--spill-dir", "/nowhere"}).exit_code == 0);
  CHECK(RunReplayer(probes.folder.path(), {"show", "--spill-dir", "/nowhere", "--probe"}).exit_code == 2);
}

}  // namespace
}  // namespace sprockets::harness
