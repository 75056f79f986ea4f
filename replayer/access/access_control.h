// Users and consumer groups of a schema set: compared with what Redis has, applied, and proven. One thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replayer/redis/client.h"
#include "replayer/schema_set/schema_set.h"
#include "replayer/structure/compare.h"

namespace sprockets {

struct AccessSet {
  std::vector<AclUser> users;
  std::vector<ConsumerGroup> groups;
  std::vector<AclCheck> checks;
};

Result<AccessSet> ReadAccessSet(const std::filesystem::path& folder);

/// Users that are missing or different, groups that are missing. A user is different if Redis would describe one with
/// the set's rules in other words.
Result<Compared> CompareAccess(const AccessSet& set, RedisClient& redis, const OnDifference& on_difference);

/// A closed `default` keeps out who names no user. Whether it is closed is for the operator to say.
constexpr std::string_view kDefaultUser = "default";

/// The set without its user `default`, where the set closes it and Redis still has it open: then it stays as it is.
Result<AccessSet> LeaveDefaultOpen(AccessSet set, RedisClient& redis);

/// What Redis's user `default` lets anybody do, in words; none: it is closed.
Result<std::optional<std::string>> WhatStaysOpen(RedisClient& redis);

struct AccessReport {
  int users_changed = 0;
  int groups_created = 0;
  int checks = 0;      // questions to ACL DRYRUN, each answered as the set says
  bool saved = false;  // into the server's aclfile
};

/// What becomes of the user as whom we are connected.
enum class OwnUser { kChangeLast, kKeep };

/// Could the set be applied? Changes nobody. Asks every check with the rights that the set gives: kRefused names the
/// line of one that does not hold. kRefused also where nobody could change users afterwards. Returns how many checks
/// were asked.
Result<int> RehearseAccess(const AccessSet& set, RedisClient& redis);

/// Rehearses, then changes what differs. Groups that are there keep their positions. kRefused of the rehearsal: nothing
/// was changed; otherwise it names the user that Redis does not take.
Result<AccessReport> ApplyAccess(const AccessSet& set, RedisClient& redis, OwnUser own_user);

/// Makes a group at a position of the set: `$` and ids count as read what lies before them, so that lag is known.
Status CreateGroup(RedisClient& redis, const std::string& key, const ConsumerGroup& group);

}  // namespace sprockets
