// The skipped command: which writes the sidecar skipped while Redis was away, and forgetting those that nothing will
// restore.
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "replayer/command.h"
#include "replayer/commands/common_options.h"
#include "shared/base/clock.h"
#include "shared/base/text.h"
#include "shared/spill/disk_folder.h"
#include "shared/spill/skipped_writes.h"

namespace sprockets {
namespace {

class Skipped : public Command {
 public:
  Skipped()
      : Command("skipped",
                "Lists the keys to which the sidecar skipped writes while Redis was away, and that no rebuild has "
                "restored yet.") {}

  void Declare(OptionTable& options) override {
    AddSpillDir(options, &folder_);
    options.NonEmptyText("forget", "GLOB", "strike off the keys that match, which nothing will restore",
                         "a glob is missing, for example 'cache:*'", &forget_);
  }

  Result<Outcome> Run(Output&) override {
    ASSIGN_OR_RETURN(const DiskFolder folder, DiskFolder::OpenExisting(folder_));
    const SkippedWrites file(folder.path());
    ASSIGN_OR_RETURN(const std::vector<SkippedKey> keys, file.List());
    std::vector<SkippedKey> forgotten;
    Outcome outcome;
    nlohmann::ordered_json& list = outcome.details["skipped"] = nlohmann::ordered_json::array();
    for (const SkippedKey& each : keys) {
      const bool forgets = forget_ && GlobMatch(*forget_, each.key);
      if (forgets) forgotten.push_back(each);
      outcome.text += Describe(each, WallClockMs()) + (forgets ? "; forgotten\n" : "\n");
      list.push_back({{"key", JsonOfBytes(each.key)},
                      {"writes", each.writes},
                      {"first_ms", each.first_ms},
                      {"last_ms", each.last_ms},
                      {"command", each.command},
                      {"forgotten", forgets}});
    }
    RETURN_IF_ERROR(file.StrikeOff(forgotten));
    const size_t left = keys.size() - forgotten.size();
    outcome.counts = {{"keys", left}, {"forgotten", forgotten.size()}};
    outcome.result = left > 0 ? "left" : "nothing";
    if (keys.empty()) outcome.text = "nothing was skipped\n";
    if (left > 0) outcome.text += "next: sprockets-replayer rebuild --spill-dir DIR with the set that owns them\n";
    return outcome;
  }

 private:
  std::filesystem::path folder_;
  std::optional<std::string> forget_;
};

}  // namespace

std::unique_ptr<Command> SkippedCommand() {
  return std::make_unique<Skipped>();
}

}  // namespace sprockets
