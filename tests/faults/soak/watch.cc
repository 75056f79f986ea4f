#include "tests/faults/soak/watch.h"

#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>

#include "tests/faults/soak/blows.h"
#include "tests/faults/soak/expect.h"
#include "tests/harness/process.h"

namespace sprockets::soak {
namespace {

using namespace std::chrono_literals;
using namespace sprockets::harness;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kMostResidentKib = 2048 * 1024;  // shadow memory
#else
constexpr size_t kMostResidentKib = 64 * 1024;
#endif

std::string StatusOf(const Sidecar& sidecar) {
  try {
    return sidecar.Status().dump();
  } catch (const std::exception& problem) {
    return problem.what();
  }
}

}  // namespace

void ExpectModest(Stack& stack) {
  const pid_t sidecar = stack.sidecar.process().pid();
  const size_t resident = ResidentKib(sidecar);
  Expect(resident < kMostResidentKib, "the sidecar takes " + std::to_string(resident) + " KiB");
  const std::string logs = stack.sidecar.process().Stdout() + stack.sidecar.process().Stderr();
  const std::string told = stack.sidecar.Status().dump() + stack.sidecar.Call({"INFO"}).text;
  const std::string argv = ReadWholeFile("/proc/" + std::to_string(sidecar) + "/cmdline");
  Expect((logs + told + argv).find(kSecret) == std::string::npos, "the password was printed");
}

std::string LastWordsOf(Stack& stack) {
  const auto words_of = [](const std::string& name, Process& process) {
    const std::optional<int> exit_code = process.Wait(0ms);
    const std::string state = exit_code ? "has ended with " + std::to_string(*exit_code) : "runs";
    return name + " " + state + "; its last words:\n" + LastOf(process.Stdout() + process.Stderr()) + "\n";
  };
  std::string words = words_of("the sidecar", stack.sidecar.process());
  if (stack.sidecar.process().Running()) words += "its status: " + StatusOf(stack.sidecar) + "\n";
  return words + words_of("Redis", stack.redis.process());
}

}  // namespace sprockets::soak
