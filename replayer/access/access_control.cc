#include "replayer/access/access_control.h"

#include <algorithm>
#include <random>

#include "replayer/redis/pipeline.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/redis/resp.h"
#include "shared/redis/stream_id.h"

namespace sprockets {
namespace {

/// A reply in words, to be compared with another one.
std::string Flatten(const redisReply& reply) {
  if (reply.type == REDIS_REPLY_INTEGER) return std::to_string(reply.integer) + "\n";
  if (reply.type != REDIS_REPLY_ARRAY) return std::string(TextOf(reply)) + "\n";
  std::string text = std::to_string(reply.elements) + "[\n";
  for (size_t i = 0; i < reply.elements; ++i) text += Flatten(*reply.element[i]);
  return text;
}

Result<RedisClient::Reply> Call(RedisClient& redis, const std::vector<std::string>& words) {
  std::vector<std::string_view> views(words.begin(), words.end());
  std::string wire;
  AppendCommand(wire, views);
  redis.Queue(wire);
  return redis.Receive();
}

/// May a rule be shown? Grants may; a password may not, nor one whose > was forgotten.
bool IsGrant(const std::string& rule) {
  return rule.find_first_of("+-~%&(") == 0;
}

/// ACL SETUSER, from nothing. Redis's words name the rule that it does not take; what may be a secret is not repeated.
Status SetUser(RedisClient& redis, const std::string& name, const AclUser& user) {
  std::vector<std::string> words{"ACL", "SETUSER", name, "reset"};
  words.insert(words.end(), user.rules.begin(), user.rules.end());
  ASSIGN_OR_RETURN(const RedisClient::Reply reply, Call(redis, words));
  if (!IsError(*reply)) return {};
  std::string why(TextOf(*reply));
  for (const std::string& rule : user.rules) {
    const size_t at = IsGrant(rule) ? std::string::npos : why.find("'" + rule + "'");
    if (at != std::string::npos) why.replace(at + 1, rule.size(), "***");
  }
  return Error{ErrorCode::kRefused, "user " + Escape(user.name) + ": Redis refuses: " + Escape(why)};
}

constexpr std::string_view kScratch = "sprockets-compare-";  // users of our own

/// A user of our own with a user's rules, but off from its first moment on: nobody can be it, not even if we are
/// killed.
Status SetScratch(RedisClient& redis, const std::string& name, AclUser user) {
  user.rules.push_back("off");
  return SetUser(redis, name, user);
}

/// What a run that was killed has left.
Status RemoveScratches(RedisClient& redis) {
  ASSIGN_OR_RETURN(const RedisClient::Reply users, redis.Call({"ACL", "USERS"}));
  RETURN_IF_ERROR(RefuseError(*users));
  for (size_t i = 0; i < users->elements; ++i) {
    const std::string name(TextOf(*users->element[i]));
    if (!name.starts_with(kScratch)) continue;
    ASSIGN_OR_RETURN(const RedisClient::Reply deleted, redis.Call({"ACL", "DELUSER", name}));
    RETURN_IF_ERROR(RefuseError(*deleted));
  }
  return {};
}

bool IsOn(const AclUser& user) {
  bool on = false;
  for (const std::string& rule : user.rules) on = rule == "on" || (on && rule != "off" && rule != "reset");
  return on;
}

/// What ACL GETUSER says, without whether the user is on: the scratch user never is.
std::string DescriptionOf(const redisReply& user, bool* is_on) {
  std::string text;
  for (size_t i = 0; i + 1 < user.elements; i += 2) {
    const redisReply& value = *user.element[i + 1];
    text += Flatten(*user.element[i]);
    if (TextOf(*user.element[i]) != "flags") {
      text += Flatten(value);
      continue;
    }
    for (size_t flag = 0; flag < value.elements; ++flag) {
      const std::string_view word = TextOf(*value.element[flag]);
      if (word == "on") *is_on = true;
      if (word != "on" && word != "off") text += std::string(word) + "\n";
    }
  }
  return text;
}

/// Does Redis describe the user as it would one with the set's rules?
Result<bool> IsAsInSet(RedisClient& redis, const AclUser& user, bool* exists) {
  const std::string scratch = std::string(kScratch) + std::to_string(std::random_device{}());
  const Status set = SetScratch(redis, scratch, user);
  ASSIGN_OR_RETURN(const RedisClient::Reply wanted, redis.Call({"ACL", "GETUSER", scratch}));
  ASSIGN_OR_RETURN(const RedisClient::Reply deleted, redis.Call({"ACL", "DELUSER", scratch}));
  RETURN_IF_ERROR(set);
  RETURN_IF_ERROR(RefuseError(*wanted));
  RETURN_IF_ERROR(RefuseError(*deleted));
  if (wanted->type != REDIS_REPLY_ARRAY) {
    return Error{ErrorCode::kBusy, "another access or verify is comparing users: run it again when that has ended"};
  }
  ASSIGN_OR_RETURN(const RedisClient::Reply actual, redis.Call({"ACL", "GETUSER", user.name}));
  RETURN_IF_ERROR(RefuseError(*actual));
  *exists = actual->type == REDIS_REPLY_ARRAY;
  bool is_on = false;
  bool ignored = false;
  return *exists && DescriptionOf(*actual, &is_on) == DescriptionOf(*wanted, &ignored) && is_on == IsOn(user);
}

Result<bool> HasGroup(RedisClient& redis, const ConsumerGroup& group) {
  ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis.Call({"XINFO", "GROUPS", group.stream}));
  if (IsError(*reply)) {
    if (TextOf(*reply).starts_with("ERR no such key")) return false;
    return RefuseError(*reply).error();
  }
  for (size_t i = 0; i < reply->elements; ++i) {
    if (TextOf(*reply->element[i]->element[1]) == group.group) return true;
  }
  return false;
}

/// Of the user itself, or of `as`, who has the rules that it will have.
Status AskCheck(RedisClient& redis, const AclCheck& check, const std::string& as) {
  std::vector<std::string> words{"ACL", "DRYRUN", as};
  words.insert(words.end(), check.command.begin(), check.command.end());
  ASSIGN_OR_RETURN(const RedisClient::Reply reply, Call(redis, words));
  RETURN_IF_ERROR(RefuseError(*reply).Prefixed(check.where));
  const bool may = TextOf(*reply) == "OK";
  if (may == check.may) return {};
  return Error{ErrorCode::kRefused, check.where + ": " + Escape(check.user) +
                                        (may ? " may do what it must not" : " may not do what it must: ") +
                                        (may ? "" : Escape(TextOf(*reply)))};
}

/// Before we change our own user: somebody must be able to change users afterwards, by the rules that the set gives.
/// That may be ourselves.
Status RequireSuccessor(RedisClient& redis, const AccessSet& set, const AclUser& self) {
  const std::string scratch = std::string(kScratch) + std::to_string(std::random_device{}());
  for (const AclUser& user : set.users) {
    if (!IsOn(user)) continue;
    RETURN_IF_ERROR(SetScratch(redis, scratch, user));
    ASSIGN_OR_RETURN(const RedisClient::Reply may, redis.Call({"ACL", "DRYRUN", scratch, "ACL", "SETUSER", "anybody"}));
    RETURN_IF_ERROR(RefuseError(*may));
    if (TextOf(*may) == "OK") return {};
  }
  return Error{ErrorCode::kRefused,
               "the set changes " + Escape(self.name) +
                   ", as whom we are connected, and gives nobody the right to change users: connect as another "
                   "administrator, or give the set one (+acl)"};
}

/// Into the aclfile where there is one; without, users are gone with the server.
Result<bool> Save(RedisClient& redis) {
  ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis.Call({"ACL", "SAVE"}));
  if (!IsError(*reply)) return true;
  if (TextOf(*reply).find("ACL file") != std::string_view::npos) return false;
  return RefuseError(*reply).Prefixed("ACL SAVE").error();
}

/// Asks every check, with the rights that the set gives: changes nobody.
Result<int> AskChecks(const AccessSet& set, RedisClient& redis) {
  RETURN_IF_ERROR(RemoveScratches(redis));
  int asked = 0;
  const auto ask_all = [&]() -> Status {
    for (const AclUser& user : set.users) {
      const auto is_of_user = [&](const AclCheck& check) { return check.user == user.name; };
      if (std::none_of(set.checks.begin(), set.checks.end(), is_of_user)) continue;
      const std::string scratch = std::string(kScratch) + std::to_string(std::random_device{}());
      RETURN_IF_ERROR(SetScratch(redis, scratch, user));
      for (const AclCheck& check : set.checks) {
        if (!is_of_user(check)) continue;
        RETURN_IF_ERROR(AskCheck(redis, check, scratch));
        ++asked;
      }
    }
    // Users that the set does not name are asked as they are.
    for (const AclCheck& check : set.checks) {
      const auto is_user = [&](const AclUser& user) { return user.name == check.user; };
      if (std::any_of(set.users.begin(), set.users.end(), is_user)) continue;
      RETURN_IF_ERROR(AskCheck(redis, check, check.user));
      ++asked;
    }
    return {};
  };
  const Status status = ask_all();
  RETURN_IF_ERROR(RemoveScratches(redis));
  RETURN_IF_ERROR(status);
  return asked;
}

/// What a set would change.
struct Rehearsal {
  int checks = 0;
  std::vector<const AclUser*> changed;  // the user that we are ourselves last: from then on its new rules hold for us
  bool ourselves = false;               // that one is among them
};

Result<Rehearsal> Rehearse(const AccessSet& set, RedisClient& redis, OwnUser own_user) {
  Rehearsal rehearsal;
  ASSIGN_OR_RETURN(rehearsal.checks, AskChecks(set, redis));
  for (const AclUser& user : set.users) {
    bool exists = false;
    ASSIGN_OR_RETURN(const bool same, IsAsInSet(redis, user, &exists));
    if (!same) rehearsal.changed.push_back(&user);
  }
  ASSIGN_OR_RETURN(const RedisClient::Reply self, redis.Call({"ACL", "WHOAMI"}));
  RETURN_IF_ERROR(RefuseError(*self));
  std::stable_partition(rehearsal.changed.begin(), rehearsal.changed.end(),
                        [&](const AclUser* user) { return user->name != TextOf(*self); });
  rehearsal.ourselves = !rehearsal.changed.empty() && rehearsal.changed.back()->name == TextOf(*self);
  if (rehearsal.ourselves && own_user == OwnUser::kChangeLast) {
    const Status successor = RequireSuccessor(redis, set, *rehearsal.changed.back());
    RETURN_IF_ERROR(RemoveScratches(redis));
    RETURN_IF_ERROR(successor);
  }
  return rehearsal;
}

}  // namespace

Result<AccessSet> ReadAccessSet(const std::filesystem::path& folder) {
  AccessSet set;
  ASSIGN_OR_RETURN(set.users, ReadUsers(folder));
  ASSIGN_OR_RETURN(set.groups, ReadGroups(folder));
  ASSIGN_OR_RETURN(set.checks, ReadChecks(folder));
  return set;
}

Result<AccessSet> LeaveDefaultOpen(AccessSet set, RedisClient& redis) {
  ASSIGN_OR_RETURN(const auto open, WhatStaysOpen(redis));
  if (open) std::erase_if(set.users, [](const AclUser& user) { return user.name == kDefaultUser && !IsOn(user); });
  return set;
}

Result<std::optional<std::string>> WhatStaysOpen(RedisClient& redis) {
  ASSIGN_OR_RETURN(const RedisClient::Reply user, redis.Call({"ACL", "GETUSER", kDefaultUser}));
  RETURN_IF_ERROR(RefuseError(*user));
  bool is_on = false;
  bool has_password = true;
  std::string rights;
  for (size_t i = 0; i + 1 < user->elements; i += 2) {
    const std::string_view name = TextOf(*user->element[i]);
    const redisReply& value = *user->element[i + 1];
    for (size_t flag = 0; name == "flags" && flag < value.elements; ++flag) {
      if (TextOf(*value.element[flag]) == "on") is_on = true;
      if (TextOf(*value.element[flag]) == "nopass") has_password = false;
    }
    if (name == "commands" || name == "keys") rights += (rights.empty() ? "" : " ") + std::string(TextOf(value));
  }
  if (!is_on) return std::optional<std::string>();
  return std::optional((has_password ? "with its password: " : "without a password: ") + rights);
}

Result<Compared> CompareAccess(const AccessSet& set, RedisClient& redis, const OnDifference& on_difference) {
  Compared compared;
  const auto tell = [&](std::string key, const char* type, Problem problem, std::optional<std::string> member) {
    ++compared.differences;
    on_difference({std::move(key), type, problem, std::move(member), std::nullopt, std::nullopt});
  };
  RETURN_IF_ERROR(RemoveScratches(redis));
  for (const AclUser& user : set.users) {
    bool exists = false;
    ASSIGN_OR_RETURN(const bool same, IsAsInSet(redis, user, &exists));
    if (!same) tell(user.name, "user", exists ? Problem::kDifferent : Problem::kMissing, std::nullopt);
  }
  for (const ConsumerGroup& group : set.groups) {
    ASSIGN_OR_RETURN(const bool there, HasGroup(redis, group));
    if (!there) tell(group.stream, "group", Problem::kMissing, group.group);
  }
  return compared;
}

Status CreateGroup(RedisClient& redis, const std::string& key, const ConsumerGroup& group) {
  std::string position = group.position;
  std::string read = "0";
  ASSIGN_OR_RETURN(const RedisClient::Reply info, redis.Call({"XINFO", "STREAM", key}));
  if (!IsError(*info)) {
    int64_t added = 0;
    std::string last_id;
    for (size_t i = 0; i + 1 < info->elements; i += 2) {
      if (TextOf(*info->element[i]) == "entries-added") added = info->element[i + 1]->integer;
      if (TextOf(*info->element[i]) == "last-generated-id") last_id = TextOf(*info->element[i + 1]);
    }
    if (position == "$") position = last_id;
    if (position == last_id) {
      read = std::to_string(added);
    } else if (position != "0" && position != "0-0") {
      read.clear();  // in mid-stream Redis must count by itself
    }
  }
  std::vector<std::string> words{"XGROUP", "CREATE", key, group.group, position, "MKSTREAM"};
  if (!read.empty()) words.insert(words.end(), {"ENTRIESREAD", read});
  ASSIGN_OR_RETURN(const RedisClient::Reply reply, Call(redis, words));
  return RefuseError(*reply).Prefixed("group " + Escape(group.group) + " of stream " + Escape(key));
}

Result<int> RehearseAccess(const AccessSet& set, RedisClient& redis) {
  ASSIGN_OR_RETURN(const Rehearsal rehearsal, Rehearse(set, redis, OwnUser::kChangeLast));
  return rehearsal.checks;
}

Result<AccessReport> ApplyAccess(const AccessSet& set, RedisClient& redis, OwnUser own_user) {
  AccessReport report;
  ASSIGN_OR_RETURN(const Rehearsal rehearsal, Rehearse(set, redis, own_user));
  const std::vector<const AclUser*>& changed = rehearsal.changed;
  const bool ourselves = rehearsal.ourselves;
  report.checks = rehearsal.checks;
  for (const ConsumerGroup& group : set.groups) {
    ASSIGN_OR_RETURN(const bool there, HasGroup(redis, group));
    if (there) continue;
    RETURN_IF_ERROR(CreateGroup(redis, group.stream, group));
    ++report.groups_created;
  }
  const size_t others = changed.size() - (ourselves ? 1 : 0);
  for (size_t i = 0; i < others; ++i) RETURN_IF_ERROR(SetUser(redis, changed[i]->name, *changed[i]));
  if (ourselves && own_user == OwnUser::kKeep) {
    LogWarning("own-user-kept", {{"user", changed.back()->name},
                                 {"why", "a repair does not change the user that it works as"},
                                 {"way_out", "run access as another user that may change users"}});
  } else if (ourselves) {
    ASSIGN_OR_RETURN(report.saved, Save(redis));  // the others, as long as we may
    RETURN_IF_ERROR(SetUser(redis, changed.back()->name, *changed.back()));
    report.users_changed = static_cast<int>(changed.size());
    if (const Result<bool> saved = Save(redis); !saved.ok()) {
      LogWarning("own-user-not-saved", {{"user", changed.back()->name},
                                        {"why", "its new rules do not allow it"},
                                        {"way_out", "run access again as another user that may change users"}});
    } else if (!report.saved) {
      LogWarning("acl-not-saved", {{"why", "the server has no aclfile: users are gone when it restarts"}});
    }
    return report;
  }
  report.users_changed = static_cast<int>(others);
  ASSIGN_OR_RETURN(report.saved, Save(redis));
  if (!report.saved)
    LogWarning("acl-not-saved", {{"why", "the server has no aclfile: users are gone when it restarts"}});
  return report;
}

}  // namespace sprockets
