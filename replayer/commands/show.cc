// The show command: spilled events as JSON lines.
#include <map>
#include <string>
#include <vector>

#include "replayer/commands/commands.h"
#include "replayer/drain/active_file.h"
#include "replayer/drain/folder_survey.h"
#include "replayer/drain/pass.h"
#include "shared/base/text.h"
#include "shared/spill/file.h"

namespace sprockets {
namespace {

void AppendJsonList(std::string& line, std::string_view name, std::span<const std::string_view> values) {
  line.append(",\"").append(name).append("\":[");
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) line += ',';
    AppendJsonBytes(line, values[i]);
  }
  line += ']';
}

/// `rejected`: why Redis would not take it; null: it is not known that it would not.
std::string JsonLine(const SpillFileInfo& info, const SpilledEvent& spilled, const std::string* rejected) {
  std::string line = "{\"file\":";
  AppendJsonString(line, info.path.filename().native());
  line.append(",\"ticket\":").append(std::to_string(spilled.ticket)).append(",\"stream\":");
  AppendJsonBytes(line, spilled.event.stream);
  line += ",\"event_id\":";
  AppendJsonBytes(line, spilled.event.event_id());
  line.append(",\"received_ms\":").append(std::to_string(spilled.received_ms));
  line.append(",\"in_doubt\":").append(spilled.doubt || info.suspect ? "true" : "false");
  if (rejected != nullptr) {
    line += ",\"rejected\":";
    AppendJsonBytes(line, *rejected);
  }
  AppendJsonList(line, "options", spilled.event.options);
  AppendJsonList(line, "fields", spilled.event.fields);
  return line += "}\n";
}

/// Prints up to a limit over several files.
class Printer {
 public:
  Printer(const ShowConfig& config, std::ostream& out) : config_(config), out_(out) {}

  bool is_full() const { return config_.limit > 0 && printed_ >= config_.limit; }
  /// Rows that cannot be read are named on stderr, and the others are printed all the same.
  int64_t bad_rows() const { return bad_rows_; }

  Status PrintFile(const SpillFileInfo& info, bool only_what_waits) {
    ASSIGN_OR_RETURN(SpillFile file, SpillFile::Open(info));
    ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file.Streams());
    ASSIGN_OR_RETURN(const std::vector<SpillFile::Rejected> rejected, file.RejectedRows());
    for (const SpilledStream& stream : streams) {
      if (is_full()) return {};
      if (config_.stream && stream.name != *config_.stream) continue;
      const int64_t after = only_what_waits ? stream.cursor.done_ticket : 0;
      std::map<int64_t, std::string> reasons;
      for (const SpillFile::Rejected& row : rejected) {
        if (row.stream_id == stream.id) reasons[row.ticket] = row.reason;
      }
      const auto print = [&](const SpilledEvent& spilled) {
        const auto reason = reasons.find(spilled.ticket);
        out_ << JsonLine(info, spilled, reason == reasons.end() ? nullptr : &reason->second);
        ++printed_;
        return !is_full() && out_.good();
      };
      const auto name_bad = [&](int64_t ticket, std::string_view reason) {
        ++bad_rows_;
        LogWarning("bad-row", {{"file", info.path.filename().native()}, {"ticket", ticket}, {"why", reason}});
      };
      RETURN_IF_ERROR(file.Visit(stream, after, 0, print, name_bad));
    }
    return {};
  }

 private:
  const ShowConfig& config_;
  std::ostream& out_;
  int64_t printed_ = 0;
  int64_t bad_rows_ = 0;
};

Status Show(const Config& config, Printer* printer) {
  ASSIGN_OR_RETURN(const SpillFolder folder, SpillFolder::OpenExisting(config.spill_dir));
  if (!config.show.file.empty()) {
    ASSIGN_OR_RETURN(const SpillFileInfo info, FindSpillFile(folder, config.show.file));
    if (info.state == SpillFileInfo::State::kActive && !info.suspect && !info.quarantined) {
      return Error{ErrorCode::kRefused, info.path.filename().native() +
                                            " is being written by a sidecar, or was left by one: drain seals it"};
    }
    return printer->PrintFile(info, false);
  }
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  for (const SpillFileInfo& info : files) {
    if (info.quarantined) {
      LogWarning("quarantined-file-not-shown",
                 {{"file", info.path.filename().native()}, {"way_out", "drain --salvage takes what can be read"}});
    }
    if (!WaitsForDrain(info) || printer->is_full()) continue;
    RETURN_IF_ERROR(printer->PrintFile(info, true));
  }
  ASSIGN_OR_RETURN(const std::optional<ActiveFile> active, FindActiveFile(folder, config.socket_path));
  if (!active) return {};
  const std::string rows = active->rows ? std::to_string(*active->rows) : "unknown";
  LogWarning(
      "active-file-not-shown",
      {{"file", active->name}, {"rows", rows}, {"way_out", "SPROCKETS SEAL at the sidecar's socket hands it over"}});
  return {};
}

}  // namespace

int RunShow(const Config& config, std::ostream& out) {
  Printer printer(config.show, out);
  const Status shown = Show(config, &printer);
  out.flush();
  if (!shown.ok()) return Fail(config, "show", shown.error(), out);
  return printer.bad_rows() == 0 ? 0 : 1;
}

}  // namespace sprockets
