// The show command: spilled events as JSON lines.
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "replayer/command.h"
#include "replayer/commands/common_options.h"
#include "replayer/drain/active_file.h"
#include "replayer/drain/folder_survey.h"
#include "replayer/drain/landed_rows.h"
#include "replayer/drain/pass.h"
#include "shared/base/log.h"
#include "shared/spill/disk_folder.h"
#include "shared/spill/file.h"

namespace sprockets {
namespace {

struct ShowOptions {
  std::filesystem::path spill_dir;
  std::string file;                   // empty: every file that waits
  std::optional<std::string> stream;  // none: all
  int64_t limit = 0;                  // lines; 0: no limit
};

nlohmann::ordered_json ListJson(std::span<const std::string_view> values) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const std::string_view value : values) list.push_back(JsonOfBytes(value));
  return list;
}

/// `rejected`: why Redis would not take it; null: it is not known that it would not.
std::string EventLine(const SpillFileInfo& info, const SpilledEvent& spilled, const std::string* rejected) {
  nlohmann::ordered_json json{
      {"file", info.path.filename().native()},       {"ticket", spilled.ticket},
      {"stream", JsonOfBytes(spilled.event.stream)}, {"event_id", JsonOfBytes(spilled.event.event_id())},
      {"received_ms", spilled.received_ms},          {"in_doubt", spilled.doubt || info.suspect}};
  if (spilled.id) json["id"] = ToString(*spilled.id);
  if (spilled.origin != 0) json["moved_from"] = spilled.origin;
  if (rejected != nullptr) json["rejected"] = JsonOfBytes(*rejected);
  json["options"] = ListJson(spilled.event.options);
  json["fields"] = ListJson(spilled.event.fields);
  return JsonLine(json) + "\n";
}

/// Prints up to a limit over several files.
class Printer {
 public:
  Printer(const ShowOptions& options, std::ostream& out) : options_(options), out_(out) {}

  bool is_full() const { return options_.limit > 0 && printed_ >= options_.limit; }
  /// Rows that cannot be read are named on stderr, and the others are printed all the same.
  int64_t bad_rows() const { return bad_rows_; }

  /// `landed`: of a journal only what waits is printed, too; null: the whole file is.
  Status PrintFile(const SpillFolder& folder, const SpillFileInfo& info, LandedRows* landed) {
    ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> file, folder.OpenFile(info));
    const bool by_marks = landed != nullptr && file->names_entries();
    if (const Status known = by_marks ? landed->Know() : Status(); !known.ok()) {
      if (known.error().code != ErrorCode::kBusy) return known;
      LogWarning("journal-not-shown", {{"file", info.path.filename().native()},
                                       {"why", known.error().message},
                                       {"way_out", "show FILE prints all of it"}});
      return {};
    }
    ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file->UncountedStreams());
    ASSIGN_OR_RETURN(const std::vector<SpillFile::Rejected> rejected, file->RejectedRows());
    for (const SpilledStream& stream : streams) {
      if (is_full()) return {};
      if (options_.stream && stream.name != *options_.stream) continue;
      std::map<int64_t, std::string> reasons;
      for (const SpillFile::Rejected& row : rejected) {
        if (row.stream_id == stream.id) reasons[row.ticket] = row.reason;
      }
      const auto print = [&](const SpilledEvent& spilled) {
        const auto reason = reasons.find(spilled.ticket);
        out_ << EventLine(info, spilled, reason == reasons.end() ? nullptr : &reason->second);
        ++printed_;
        return !is_full() && out_.good();
      };
      const auto name_bad = [&](int64_t ticket, std::string_view reason) {
        ++bad_rows_;
        LogWarning("bad-row", {{"file", info.path.filename().native()}, {"ticket", ticket}, {"why", reason}});
      };
      if (by_marks) {
        RETURN_IF_ERROR(landed->VisitWaiting(*file, stream, print, name_bad));
      } else {
        const int64_t after = landed != nullptr ? stream.cursor.done_ticket : 0;
        RETURN_IF_ERROR(file->Visit(stream, after, 0, print, name_bad));
      }
    }
    return {};
  }

 private:
  const ShowOptions& options_;
  std::ostream& out_;
  int64_t printed_ = 0;
  int64_t bad_rows_ = 0;
};

Status ShowEvents(const ShowOptions& options, Printer* printer) {
  ASSIGN_OR_RETURN(const DiskFolder folder, DiskFolder::OpenExisting(options.spill_dir));
  if (!options.file.empty()) {
    ASSIGN_OR_RETURN(const SpillFileInfo info, FindSpillFile(folder, options.file));
    if (info.state == SpillFileInfo::State::kActive && !info.suspect && !info.quarantined) {
      return Error{ErrorCode::kRefused, info.path.filename().native() +
                                            " is being written by a sidecar, or was left by one: drain seals it"};
    }
    return printer->PrintFile(folder, info, nullptr);
  }
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  LandedRows landed(folder);
  for (const SpillFileInfo& info : files) {
    if (info.quarantined) {
      LogWarning("quarantined-file-not-shown",
                 {{"file", info.path.filename().native()}, {"way_out", "drain --salvage takes what can be read"}});
    }
    if (!WaitsForDrain(info) || printer->is_full()) continue;
    RETURN_IF_ERROR(printer->PrintFile(folder, info, &landed));
  }
  ASSIGN_OR_RETURN(const std::optional<ActiveFile> active, FindActiveFile(folder, ""));
  if (!active) return {};
  const std::string rows = active->rows ? std::to_string(*active->rows) : "unknown";
  LogWarning(
      "active-file-not-shown",
      {{"file", active->name}, {"rows", rows}, {"way_out", "SPROCKETS SEAL at the sidecar's socket hands it over"}});
  return {};
}

class Show : public Command {
 public:
  Show() : Command("show", "Prints spilled events as JSON lines: those that wait, or all events of FILE.") {}

  void Declare(OptionTable& options) override {
    AddSpillDir(options, &options_.spill_dir);
    options.Text("stream", "NAME", "only events of this stream", &options_.stream);
    options.Integer("limit", "N", "print at most N events", 1, std::numeric_limits<int64_t>::max(), &options_.limit);
    options.Word("FILE", &options_.file);
  }

  Result<Outcome> Run(Output& output) override {
    Printer printer(options_, output.out());
    RETURN_IF_ERROR(ShowEvents(options_, &printer));
    Outcome outcome;
    if (printer.bad_rows() > 0) outcome.exit_code = ExitCode::kDiffers;
    return outcome;
  }

 private:
  ShowOptions options_;
};

}  // namespace

std::unique_ptr<Command> ShowCommand() {
  return std::make_unique<Show>();
}

}  // namespace sprockets
