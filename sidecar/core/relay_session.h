// What one client's connection to Redis owes it: which replies are outstanding, and what would be lost with the
// connection. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "shared/redis/reply_framer.h"

namespace sprockets {

class RelaySession {
 public:
  /// What ends the answer to a command.
  enum class Answer {
    kReply,              // one reply
    kExec,               // one reply, with which a transaction ends
    kInfo,               // one reply, which the client gets with a section of ours
    kDropped,            // one reply, which the client does not get: the command was ours
    kSkippable,          // one reply, which the client does not get if it says that Redis takes no writes
    kSubscription,       // the reply to a marker that was sent behind it: nobody knows how many replies it has
    kShardSubscription,  // likewise; its subscriptions are counted apart
  };

  /// The marker: a PING, which is allowed in every state but a transaction.
  static std::string_view Marker();

  /// A command was queued; its first byte is the connection's byte number `begin`.
  void Expect(Answer answer, uint64_t begin);

  struct Taken {
    bool ok = true;          // false: these are no replies
    bool exec_done = false;  // a transaction was executed: neither an error nor null
    bool refused = false;    // Redis takes no writes, so a kSkippable was not executed, and has no answer
  };
  /// `pass` gets what the client is to be given, in order; `info` says what an INFO is to end with.
  Taken Take(std::string_view bytes, const std::function<void(std::string_view)>& pass,
             const std::function<std::string()>& info);

  /// Half a reply was passed: what follows it must be the other half.
  bool in_passed_reply() const { return framer_.in_reply() && !holds_; }
  /// Commands that the client waits for.
  size_t unanswered() const { return unanswered_; }
  bool idle() const { return expected_.empty(); }
  bool awaits_subscription() const { return awaited_subscriptions_ > 0; }
  bool subscribed() const { return subscriptions_ + shard_subscriptions_ > 0; }

  /// Ends the session: calls `lost` for each unanswered command, in order, with the number of its first byte.
  void End(const std::function<void(uint64_t begin)>& lost);

 private:
  struct Expected {
    Answer answer;
    uint64_t begin;
  };
  bool IsSubscription(Answer answer) const {
    return answer == Answer::kSubscription || answer == Answer::kShardSubscription;
  }
  bool MustHold() const;
  bool MayHoldOn() const;
  void EndReply(const std::function<void(std::string_view)>& pass, const std::function<std::string()>& info,
                Taken* taken);
  void Pop();

  ReplyFramer framer_;
  std::deque<Expected> expected_;
  bool holds_ = false;  // the current reply, until it is decided whether the client gets it, and as what
  std::string held_;
  size_t unanswered_ = 0;
  size_t awaited_subscriptions_ = 0;
  int64_t subscriptions_ = 0;
  int64_t shard_subscriptions_ = 0;
};

}  // namespace sprockets
