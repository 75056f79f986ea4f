#include "shared/ahead/greeting.h"

#include <utility>

#include "shared/redis/error.h"
#include "shared/redis/info.h"
#include "shared/redis/login.h"
#include "shared/redis/resp.h"

namespace sprockets {

bool IsDenied(const RedisAnswer& answer) {
  return answer.is_error() && (IsNoPermission(answer.text) || answer.text.starts_with("ERR unknown command"));
}

std::optional<std::string> NoMaster(std::string_view info) {
  if (InfoField(info, "loading") == "1") return "LOADING the server is loading its data";
  const std::string_view role = InfoField(info, "role");
  if (role.empty()) return "what the server answers to INFO names no role, so it is no Redis";
  if (role != "master") return "READONLY the server is a replica: give the address of its master";
  return std::nullopt;
}

Greeting::Greeting(const RedisUrl& url, std::string_view client_name, std::string mended) : mended_(std::move(mended)) {
  if (std::string auth = AuthCommand(url); !auth.empty()) Add(Ask::kLogin, std::move(auth));
  if (url.database != 0) Add(Ask::kLogin, MakeCommand({"SELECT", std::to_string(url.database)}));
  Add(Ask::kOther, MakeCommand({"CLIENT", "SETNAME", client_name}));
  Add(Ask::kInfo, MakeCommand({"INFO"}));
}

void Greeting::Add(Ask ask, std::string command) {
  asked_.push_back(ask);
  commands_ += command;
  ++added_;
}

Greeting::Send Greeting::Begin() {
  return {std::exchange(commands_, {}), std::exchange(added_, 0)};
}

void Greeting::AskForGuard() {
  const std::string set = MakeCommand({"SET", kGuardKey, "1"});
  if (incarnation_.run_id.empty() || incarnation_.run_id != mended_) {
    Add(Ask::kMulti, MakeCommand({"MULTI"}));
    Add(Ask::kQueued, set);
    Add(Ask::kQueued, set);
    Add(Ask::kExec, MakeCommand({"EXEC"}));
  }
  Add(Ask::kSetGuard, MakeCommand({"SET", kGuardKey, "1", "NX"}));
  Add(Ask::kWatch, MakeCommand({"WATCH", kGuardKey}));
  Add(Ask::kInfoAgain, MakeCommand({"INFO"}));
}

Greeting::Step Greeting::TakeAnswer(const RedisAnswer& answer) {
  switch (asked_[answered_++]) {
    case Ask::kLogin:
      if (answer.is_error()) return Refused{std::string(WithoutArguments(answer.text))};
      return Wait{};
    case Ask::kOther:
      return Wait{};
    case Ask::kInfo:
      return TakeInfo(answer, /*again=*/false);
    case Ask::kMulti:
      if (IsDenied(answer)) return Refused{std::string(kNeedsTransactions), /*for_ever=*/true};
      if (answer.is_error()) return Refused{std::string(answer.text)};
      return Wait{};
    case Ask::kQueued:
    case Ask::kSetGuard:
      // A guard that this user may not write is no guard; what else is refused passes, as on a full server.
      if (answer.is_error() && IsNoPermission(answer.text)) guarded_ = false;
      if (answer.is_error() && !IsNoPermission(answer.text)) return Refused{std::string(answer.text)};
      return Wait{};
    case Ask::kExec:
      if (IsDenied(answer)) return Refused{std::string(kNeedsTransactions), /*for_ever=*/true};
      if (answer.is_error() && guarded_) return Refused{std::string(answer.text)};
      return Wait{};
    case Ask::kWatch:
      if (answer.is_error() && IsNoPermission(answer.text)) guarded_ = false;
      if (answer.is_error() && guarded_) return Refused{std::string(answer.text)};
      return Wait{};
    case Ask::kInfoAgain:
      return TakeInfo(answer, /*again=*/true);
  }
  return Wait{};
}

Greeting::Step Greeting::TakeInfo(const RedisAnswer& answer, bool again) {
  if (answer.is_error()) return Refused{std::string(answer.text), IsNoPermission(answer.text)};
  if (InfoField(answer.text, "cluster_enabled") == "1")
    return Refused{"the server is in cluster mode, which is not supported: give the address of a single server",
                   /*for_ever=*/true};
  if (auto why = NoMaster(answer.text)) return Refused{*std::move(why)};
  Incarnation now{std::string(InfoField(answer.text, "run_id")), std::string(InfoField(answer.text, "master_replid"))};
  if (again) {
    if (now != incarnation_) return Refused{"the server was replaced while it was greeted"};
    return Ready{};
  }
  incarnation_ = std::move(now);
  AskForGuard();
  return Begin();
}

}  // namespace sprockets
