#include "replayer/drain/active_file.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "replayer/drain/sidecar_door.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

using Json = nlohmann::json;

/// Whatever is missing or of another type is the default: an older sidecar says less.
template <typename T>
T Get(const Json& object, const char* name, T otherwise) {
  if (!object.is_object() || !object.contains(name)) return otherwise;
  const Json& value = object.at(name);
  if constexpr (std::is_same_v<T, std::string>) {
    return value.is_string() ? value.get<std::string>() : otherwise;
  } else {
    return value.is_number_integer() ? value.get<T>() : otherwise;
  }
}

std::optional<int64_t> FileNumber(const std::string& answer, const std::string& file, const char* what) {
  const Json status = Json::parse(answer, nullptr, /*allow_exceptions=*/false);
  if (!status.is_object() || !status.contains("spill") || !status["spill"].contains("files")) return std::nullopt;
  for (const Json& each : status["spill"]["files"]) {
    if (Get<std::string>(each, "name", "") != file) continue;
    const int64_t number = Get<int64_t>(each, what, -1);
    return number < 0 ? std::nullopt : std::optional(number);
  }
  return std::nullopt;
}

}  // namespace

std::optional<int64_t> SidecarView::RowsOf(const std::string& file) const {
  return FileNumber(answer, file, "rows");
}
std::optional<int64_t> SidecarView::OldestOf(const std::string& file) const {
  return FileNumber(answer, file, "oldest_ms");
}

Result<SidecarView> AskSidecar(const std::string& socket_path, const Dial& dial) {
  SidecarView view;
  ASSIGN_OR_RETURN(view.answer, AskSidecarForStatus(socket_path, dial));
  const Json status = Json::parse(view.answer, nullptr, /*allow_exceptions=*/false);
  if (!status.is_object()) return Error{ErrorCode::kRefused, "SPROCKETS STATUS: the answer is no JSON document"};
  const Json redis = status.value("redis", Json::object());
  const bool connected = Get<std::string>(redis, "state", "") == "connected";
  if (connected) view.run_id = Get<std::string>(redis, "run_id", "");
  if (redis.contains("db")) view.database = Get<int>(redis, "db", 0);
  const std::string error = Get<std::string>(redis, "last_error", "");
  if (!connected || Get<std::string>(redis, "breaker", "closed") != "closed") {
    view.why = error.empty() ? "it has not reached Redis yet" : error;
  }
  view.since_ms = Get<int64_t>(redis, "since_ms", 0);
  if (Get<std::string>(status, "mode", "") == "disk") {
    const Json journal = status.value("journal", Json::object());
    const Json behind = journal.is_object() ? journal.value("behind", Json()) : Json();
    view.all_landed = connected && behind.is_array() && behind.empty();
    if (!*view.all_landed && view.why.empty()) view.why = error;
    for (const Json& stream : behind) {
      const std::string refusal = Get<std::string>(stream, "refusal", "");
      if (view.refused.empty() && !refusal.empty())
        view.refused = Escape(Get<std::string>(stream, "stream", "")) + ": " + refusal;
    }
  }
  return view;
}

Result<std::optional<ActiveFile>> FindActiveFile(const SpillFolder& folder, const std::string& socket_path) {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  const auto active = std::find_if(files.begin(), files.end(), [](const SpillFileInfo& info) {
    return info.state == SpillFileInfo::State::kActive && !info.suspect && !info.quarantined;
  });
  if (active == files.end()) return std::optional<ActiveFile>();
  ActiveFile found{active->path.filename().native(), std::nullopt, 0};
  if (!socket_path.empty()) {
    const Result<SidecarView> view = AskSidecar(socket_path);
    if (view.ok() && view.value().all_landed) {
      if (*view.value().all_landed) return std::optional<ActiveFile>();
      found.is_journal = true;  // of its rows some have landed, and nobody counts them
    } else if (view.ok()) {
      found.rows = view.value().RowsOf(found.name);
      found.oldest_ms = view.value().OldestOf(found.name).value_or(0);
    }
  }
  return std::optional(found);
}

}  // namespace sprockets
