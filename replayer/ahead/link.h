// The forwarder's connection, as a program that does nothing else has it: it waits for each answer. One thread.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "replayer/redis/client.h"
#include "replayer/redis/target.h"
#include "shared/ahead/forwarder.h"
#include "shared/base/result.h"

namespace sprockets {

class AheadLink : public ForwarderLink {
 public:
  AheadLink(RedisTarget target, Dial dial) : target_(std::move(target)), dial_(std::move(dial)) {}

  /// Connects and logs in; the forwarder is to be told.
  Status Connect();
  bool connected() const { return client_.has_value(); }
  /// While the forwarder awaits nothing, for questions beside its own.
  RedisClient& client() { return *client_; }
  /// Writes and reads what is possible without waiting.
  void Pump() {
    if (client_) client_->Pump();
  }
  /// Does the forwarder await an answer?
  bool awaits() const { return awaited_ > 0; }
  /// Waits for the next answer, and hands it over; or says that there is no connection any more.
  void Receive(Forwarder* forwarder);
  /// It has turned out to be of no use.
  void Close(std::string_view why);

  /// Why there is no connection, or what Redis refused last; empty: nothing was wrong yet.
  const std::string& why() const { return why_; }
  /// Was it of use, since this was last asked?
  bool TakeGreeted() { return std::exchange(greeted_, false); }
  /// It never will be of use, and why; empty: it may.
  const std::string& unusable() const { return unusable_; }

  // ForwarderLink
  void Send(std::string_view commands, size_t answers) override;
  void Greeted() override { greeted_ = true; }
  void Disconnect(std::string_view why) override { Close(why); }
  void Unusable(std::string_view why) override { unusable_ = why; }

 private:
  struct Sent {
    std::string commands;  // the client holds views into them
    size_t answers;
  };
  const RedisTarget target_;
  const Dial dial_;
  std::optional<RedisClient> client_;
  std::deque<Sent> sent_;
  size_t awaited_ = 0;
  bool greeted_ = false;
  std::string why_;
  std::string unusable_;
};

}  // namespace sprockets
