#include "tests/harness/sidecar.h"

#include <signal.h>
#include <stdexcept>
#include <utility>

namespace sprockets::harness {

Sidecar::Sidecar(Options options) : options_(std::move(options)) {
  if (options_.spill_dir.empty()) options_.spill_dir = options_.folder / "spill";
}

void Sidecar::StartWithoutWaiting() {
  std::vector<std::string> command = {SPROCKETS_SIDECAR_PROGRAM, "--socket",    socket_path(),     "--redis",
                                      options_.redis_url,        "--spill-dir", options_.spill_dir};
  command.insert(command.begin(), prefix_.begin(), prefix_.end());
  command.insert(command.end(), options_.arguments.begin(), options_.arguments.end());
  process_.reset();  // its successor takes the same lock
  process_ = std::make_unique<Process>(
      Process::Options{.command = std::move(command), .output = options_.folder / "sidecar", .environment = {}});
}

void Sidecar::Start() {
  StartWithoutWaiting();
  const bool up = WaitUntil([this] { return !Running() || Answers(); });
  if (!up || !Running()) throw std::runtime_error("the sidecar did not start: " + process_->Stderr());
}

bool Sidecar::Answers() const {
  try {
    return Call({"PING"}).text == "PONG";
  } catch (const ConnectionClosed&) {
    return false;
  }
}

void Sidecar::Kill9() {
  process_->Kill9();
}

int Sidecar::Terminate() {
  process_->Signal(SIGTERM);
  const auto exit_code = process_->Wait();
  if (!exit_code) throw std::runtime_error("the sidecar did not end after SIGTERM: " + process_->Stderr());
  return *exit_code;
}

nlohmann::json Sidecar::Status() const {
  const Reply reply = Call({"SPROCKETS", "STATUS"});
  if (reply.type != Reply::Type::kBulk) throw std::runtime_error("SPROCKETS STATUS: " + reply.text);
  return nlohmann::json::parse(reply.text);
}

void Sidecar::AwaitBreaker(const std::string& state) const {
  Await(("the breaker to be " + state).c_str(), [&] { return Status().at("redis").at("breaker") == state; });
}

void Sidecar::AwaitFolderRead() const {
  Await("the spill folder to be read", [&] {
    const std::string log = process_->Stderr();
    // A life says that it reads on before it says that it listens.
    const size_t listens = log.rfind(" listening ");
    const size_t life_before = log.rfind(" listening ", listens - 1);
    const size_t goes_on = log.find("spill-folder-read-on", life_before == std::string::npos ? 0 : life_before);
    return goes_on == std::string::npos || log.find("spill-folder-read\n", goes_on) != std::string::npos;
  });
}

std::vector<std::string> ReplayerCommand(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), SPROCKETS_REPLAYER_PROGRAM);
  return arguments;
}

RunResult RunSidecar(const std::filesystem::path& folder, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), SPROCKETS_SIDECAR_PROGRAM);
  return Run(arguments, folder);
}

RunResult RunReplayer(const std::filesystem::path& folder, std::vector<std::string> arguments) {
  return Run(ReplayerCommand(std::move(arguments)), folder);
}

DrainResult Drain(const std::filesystem::path& folder, const std::filesystem::path& spill_dir,
                  const std::string& redis_url, const std::filesystem::path& sidecar_socket,
                  std::vector<std::string> more) {
  std::vector<std::string> arguments = {"drain", "--json", "--redis", redis_url, "--spill-dir", spill_dir};
  if (!sidecar_socket.empty()) arguments.insert(arguments.end(), {"--socket", sidecar_socket});
  arguments.insert(arguments.end(), more.begin(), more.end());
  RunResult run = RunReplayer(folder, std::move(arguments));
  return {.exit_code = run.exit_code,
          .summary = nlohmann::json::parse(run.out, nullptr, /*allow_exceptions=*/false),
          .err = std::move(run.err)};
}

}  // namespace sprockets::harness
