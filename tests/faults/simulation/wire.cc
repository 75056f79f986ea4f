// The drain's network: to the simulated Redis, and to the door of the simulated sidecar.
#include <algorithm>
#include <array>

#include "shared/redis/resp.h"
#include "tests/faults/simulation/world.h"

namespace sprockets::sim {

namespace {

/// A wire whose other end takes whole commands and gives whole answers.
class CommandWire : public Wire {
 public:
  ssize_t Write(std::string_view bytes) override {
    written_ += bytes;
    CommandParser parser(1 << 20);
    while (!written_.empty() && parser.Parse(written_) == CommandParser::Outcome::kComplete) {
      Send(written_.substr(0, parser.consumed()));
      written_.erase(0, parser.consumed());
    }
    return static_cast<ssize_t>(bytes.size());
  }
  ssize_t Read(std::span<char> buffer) override {
    const size_t size = std::min(buffer.size(), answers_.size());
    std::copy_n(answers_.begin(), size, buffer.begin());
    answers_.erase(0, size);
    return static_cast<ssize_t>(size);  // 0: closed
  }

 protected:
  virtual void Send(std::string command) = 0;
  std::string written_;  // the beginning of a command
  std::string answers_;  // that have arrived
};

class RedisWire : public CommandWire {
 public:
  RedisWire() : life_(TheWorld().redis.run_id()), id_(TheWorld().redis.Accept()) {}

  Readiness Wait(bool wants_to_write, int wait_ms) override {
    World& world = TheWorld();
    if (wants_to_write) return {.to_write = true};
    if (!answers_.empty()) return {.to_read = true};
    if (wait_ms == 0) return {};
    if (world.elsewhere) world.elsewhere();
    world.Step("drain: receive");
    if (!alive()) return {.to_read = true};
    if (world.redis.stopped) return Silence(wait_ms);
    Peer& peer = world.redis.peers.at(id_);
    if (world.Chance(world.faults.drain_connection_breaks)) {
      if (world.Chance(500) && !peer.sent.empty()) world.redis.ApplyOne(id_);
      return world.Chance(500) ? Readiness{.to_read = true} : Silence(wait_ms);
    }
    if (peer.replies.empty()) world.redis.ApplyOne(id_);
    answers_ = std::move(peer.replies.front());
    peer.replies.pop_front();
    return {.to_read = true};
  }

 private:
  // A client's number means nothing to the next life of the server.
  bool alive() const { return TheWorld().redis.run_id() == life_ && TheWorld().redis.alive(id_); }

  void Send(std::string command) override {
    if (alive()) TheWorld().redis.peers[id_].sent.push_back(std::move(command));
  }
  Readiness Silence(int wait_ms) {
    TheWorld().redis.now_ms += wait_ms;
    return {};
  }

  const std::string life_;
  const int64_t id_;
};

class DoorWire : public CommandWire {
 public:
  Readiness Wait(bool wants_to_write, int) override {
    return {.to_read = !answers_.empty(), .to_write = wants_to_write};
  }

 private:
  void Send(std::string command) override {
    if (command == MakeCommand({"SPROCKETS", "STATUS"})) return AppendBulk(answers_, "{}");  // nothing to say here
    SPROCKETS_ASSERT(command == MakeCommand({"SPROCKETS", "SEAL"}));
    const Status sealed = TheWorld().seal();
    sealed.ok() ? AppendSimple(answers_, "sealed") : AppendError(answers_, "ERR " + sealed.error().message);
  }
};

}  // namespace

Result<std::unique_ptr<Wire>> DialInWorld(const RedisUrl& url, int64_t) {
  if (!url.socket_path.empty()) return std::unique_ptr<Wire>(std::make_unique<DoorWire>());
  World& world = TheWorld();
  if (world.elsewhere) world.elsewhere();
  world.Step("drain: connect");
  if (!world.redis.up || world.redis.stopped) return Error{ErrorCode::kUnreachable, "no connection"};
  return std::unique_ptr<Wire>(std::make_unique<RedisWire>());
}

}  // namespace sprockets::sim
