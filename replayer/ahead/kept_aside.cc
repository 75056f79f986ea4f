#include "replayer/ahead/kept_aside.h"

#include <functional>
#include <memory>
#include <vector>

#include "replayer/drain/pass.h"
#include "replayer/redis/answer.h"
#include "shared/ahead/placing.h"
#include "shared/spill/file.h"

namespace sprockets {
namespace {

/// Each journal that can be opened, one after the other, until `visit` returns false.
Status VisitJournals(const SpillFolder& folder, const std::function<Result<bool>(SpillFile&)>& visit) {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  for (const SpillFileInfo& info : files) {
    if (!WaitsForDrain(info)) continue;
    const Result<std::unique_ptr<SpillFile>> file = folder.OpenFile(info);
    if (!file.ok() || !file.value()->names_entries()) continue;
    ASSIGN_OR_RETURN(const bool goes_on, visit(*file.value()));
    if (!goes_on) return {};
  }
  return {};
}

Status VisitRow(SpillFile& file, const SpilledStream& stream, int64_t ticket,
                const std::function<void(const SpilledEvent&)>& visit) {
  const auto take = [&](const SpilledEvent& row) {
    visit(row);
    return false;
  };
  return file.Visit(stream, ticket - 1, ticket, take);
}

Status AcceptIn(SpillFile& file, RedisClient& redis) {
  ASSIGN_OR_RETURN(const std::vector<SpillFile::Rejected> rejected, file.RejectedRows());
  if (rejected.empty()) return {};
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file.UncountedStreams());
  for (const SpillFile::Rejected& each : rejected) {
    for (const SpilledStream& stream : streams) {
      if (stream.id != each.stream_id) continue;
      JournalRow row;
      RETURN_IF_ERROR(VisitRow(file, stream, each.ticket, [&](const SpilledEvent& found) {
        row = JournalRow::Of(found.ticket, found.ticket, *found.id, found.event);
      }));
      if (row.ticket == 0) continue;
      const std::string id = ToString(row.id);
      ASSIGN_OR_RETURN(const RedisClient::Reply reply, redis.Call({"XRANGE", stream.name, id, id}));
      if (Holds(AnswerOf(*reply), row)) RETURN_IF_ERROR(file.Accept(stream.id, {&each.ticket, 1}));
    }
  }
  return {};
}

}  // namespace

Status KeepAside(const SpillFolder& folder, const std::string& stream, int64_t ticket, std::string_view why) {
  return VisitJournals(folder, [&](SpillFile& file) -> Result<bool> {
    ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file.UncountedStreams());
    for (const SpilledStream& each : streams) {
      if (each.name != stream || each.last_ticket < ticket) continue;
      bool is_here = false;
      RETURN_IF_ERROR(VisitRow(file, each, ticket, [&](const SpilledEvent&) { is_here = true; }));
      if (!is_here) return true;
      RETURN_IF_ERROR(file.Reject(each.id, ticket, why, each.cursor));
      return false;
    }
    return true;
  });
}

Status AcceptWhatIsThere(const SpillFolder& folder, RedisClient& redis) {
  return VisitJournals(folder, [&](SpillFile& file) -> Result<bool> {
    RETURN_IF_ERROR(AcceptIn(file, redis));
    return true;
  });
}

}  // namespace sprockets
