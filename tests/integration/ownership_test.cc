// A folder that belongs to the sidecar's user: what root makes in it, and files that may not be read.
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/harness/process.h"
#include "tests/harness/stack.h"
#include "tests/harness/temp_dir.h"
#include "tests/harness/wait.h"

namespace sprockets::harness {
namespace {

constexpr uid_t kUser = 65534;
const std::vector<std::string> kAsUser = {"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"};

uid_t OwnerOf(const std::filesystem::path& path) {
  struct stat facts = {};
  REQUIRE(lstat(path.c_str(), &facts) == 0);
  return facts.st_uid;
}

/// The sidecar starts again as a user who is not root, and everything is that user's.
void RunAsUser(Stack& stack) {
  CHECK(stack.sidecar.Terminate() == 0);
  OpenTheWayTo(stack.folder.path());
  for (const auto& path : {stack.folder.path(), stack.sidecar.spill_dir()})
    CHECK(chown(path.c_str(), kUser, kUser) == 0);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(stack.folder.path())) {
    CHECK(lchown(entry.path().c_str(), kUser, kUser) == 0);
  }
  stack.sidecar.set_prefix(kAsUser);
  stack.sidecar.Start();
}

/// What was spilled lies in a sealed file of root's, the sidecar has started beside it, and Redis is there again.
std::filesystem::path RestartBesideRootsFile(Stack& stack) {
  const std::string name = stack.sidecar.Call({"SPROCKETS", "SEAL"}).text;
  REQUIRE(name.ends_with(".sealed.sqlite"));
  CHECK(stack.sidecar.Terminate() == 0);
  std::filesystem::path sealed = stack.sidecar.spill_dir() / name;
  REQUIRE(lchown(sealed.c_str(), 0, 0) == 0);
  stack.sidecar.Start();
  stack.RestartRedis();
  return sealed;
}

bool IsRoot() {
  if (geteuid() == 0) return true;
  WARN("not root: nothing can be given to another user here");
  return false;
}

TEST_CASE("what root leaves in the sidecar's folder is the sidecar's, and a file without rights is no damage",
          "[ownership]") {
  if (!IsRoot()) return;
  Stack stack({.redis_up = false});
  RunAsUser(stack);
  REQUIRE(stack.Xadd("s", {"data", "1"}).Spilled());
  stack.RestartRedis();

  // A drain as root.
  CHECK(stack.Drain().exit_code == 0);
  CHECK(stack.Length("s") == 1);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(stack.sidecar.spill_dir())) {
    INFO(entry.path());
    CHECK(OwnerOf(entry.path()) == kUser);
  }

  // A sealed file that root has brought back from somewhere.
  stack.redis.Kill9();
  stack.sidecar.AwaitBreaker("open");
  REQUIRE(stack.Xadd("s", {"data", "2"}).Spilled());
  const std::filesystem::path sealed = RestartBesideRootsFile(stack);
  const std::vector<std::string> drain = ReplayerCommand(
      {"drain", "--json", "--redis", stack.redis.Url(), "--spill-dir", stack.sidecar.spill_dir().string()});
  std::vector<std::string> as_user = kAsUser;
  as_user.insert(as_user.end(), drain.begin(), drain.end());
  const RunResult refused = Run(as_user, stack.folder.path());
  INFO(refused.out << refused.err);
  CHECK(refused.exit_code == 1);
  CHECK(refused.err.find("belongs to user 0") != std::string::npos);
  for (const std::string& name : stack.SpillFiles()) CHECK(name.find("quarantined") == std::string::npos);

  REQUIRE(lchown(sealed.c_str(), kUser, kUser) == 0);
  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  CHECK(stack.Length("s") == 2);
}

TEST_CASE("what cannot be read at a start is read as soon as it can be, and meanwhile no id is taken for a new one",
          "[ownership]") {
  if (!IsRoot()) return;
  Stack stack({.redis_up = false});
  RunAsUser(stack);
  const auto xadd = [&](const std::string& id) { return stack.Xadd("s", {"data", "1", "event_id", id}); };
  REQUIRE(xadd("first").Spilled());
  const std::filesystem::path sealed = RestartBesideRootsFile(stack);
  const Reply again = xadd("first");
  CHECK(again.Spilled());  // and not sent: nobody can tell whether it is new
  CHECK(xadd("second").Spilled());
  REQUIRE(lchown(sealed.c_str(), kUser, kUser) == 0);
  size_t tries = 0;
  CHECK(WaitUntil([&] { return xadd("new-" + std::to_string(++tries)).Landed(); }));
  CHECK(xadd("first") == again);
  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  CHECK(stack.Length("s") == 2 + tries);
}

TEST_CASE("a limit on the size of files is a full disk, and no end of the sidecar", "[ownership]") {
  Stack stack({.redis_up = false});
  CHECK(stack.sidecar.Terminate() == 0);
  stack.sidecar.set_prefix({"sh", "-c", "ulimit -f 40000; exec \"$@\"", "sh"});  // 20 MB
  stack.sidecar.Start();
  const std::string value(50'000, 'x');
  int acknowledged = 0;
  for (int i = 0; i < 500; ++i) acknowledged += stack.Xadd("s", {"data", value}).Spilled() ? 1 : 0;
  CHECK(acknowledged > 0);
  CHECK(stack.sidecar.Terminate() == 0);
  stack.sidecar.Start();  // beside what has reached the limit
  CHECK(stack.sidecar.Terminate() == 0);
  stack.sidecar.set_prefix({});
  stack.sidecar.Start();
  stack.RestartRedis();
  const DrainResult drained = stack.Drain();
  INFO(drained.err << drained.summary);
  CHECK(drained.exit_code == 0);
  CHECK(stack.Length("s") == static_cast<size_t>(acknowledged));
}

}  // namespace
}  // namespace sprockets::harness
