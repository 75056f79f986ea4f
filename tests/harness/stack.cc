#include "tests/harness/stack.h"

#include <algorithm>
#include <utility>

namespace sprockets::harness {
namespace {

std::string AsUser(const std::string& user, std::string url) {
  if (!user.empty()) url.insert(url.find("//") + 2, user + ":@");
  return url;
}

}  // namespace

Stack::Stack() : Stack(Options{}) {}

Stack::Stack(const Options& options)
    : redis(folder.path(), options.redis_options),
      proxy(options.through_proxy ? std::make_optional<Proxy>(redis.port()) : std::nullopt),
      sidecar({.folder = folder.path(),
               .redis_url = AsUser(options.redis_user, proxy ? proxy->Url() : redis.Url()),
               .spill_dir = {},
               .arguments = options.sidecar_options}) {
  if (options.redis_up) redis.Start();
  sidecar.Start();
  if (options.redis_up) sidecar.AwaitBreaker("closed");
}

Reply Stack::Xadd(const std::string& stream, const std::vector<std::string>& fields) const {
  Command command = {"XADD", stream, "*"};
  command.insert(command.end(), fields.begin(), fields.end());
  return sidecar.Call(command);
}

void Stack::RestartRedis() {
  redis.Start();
  sidecar.AwaitBreaker("closed");
}

DrainResult Stack::Drain(std::vector<std::string> more) const {
  return harness::Drain(folder.path(), sidecar.spill_dir(), redis.Url(), sidecar.socket_path(), std::move(more));
}

size_t Stack::Length(const std::string& stream) const {
  return static_cast<size_t>(redis.Call({"XLEN", stream}).integer);
}

std::vector<std::string> Stack::SpillFiles(const std::filesystem::path& below) const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(sidecar.spill_dir() / below)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("spill-")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace sprockets::harness
