#include "replayer/ahead/accepted_after_all.h"

#include <vector>

#include "replayer/redis/answer.h"
#include "shared/ahead/placing.h"
#include "shared/journal/kept_aside.h"
#include "shared/spill/file.h"

namespace sprockets {
namespace {

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

Status AcceptWhatIsThere(const SpillFolder& folder, RedisClient& redis) {
  return VisitJournals(folder, [&](SpillFile& file) -> Result<bool> {
    RETURN_IF_ERROR(AcceptIn(file, redis));
    return true;
  });
}

}  // namespace sprockets
