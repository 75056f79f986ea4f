// XADD, a word a line: an event that is accepted is written, read and accepted again as the same event, within the
// limits.
#include <string>
#include <vector>

#include "shared/base/limits.h"
#include "shared/base/text.h"
#include "shared/redis/event.h"
#include "shared/redis/resp.h"
#include "tests/fuzz/input.h"

namespace {

constexpr std::string_view kEventIdField = "event_id";

void CheckLimits(const sprockets::EventView& event) {
  SPROCKETS_ASSERT(!event.stream.empty() && event.stream.size() <= sprockets::kMaxStreamNameBytes);
  SPROCKETS_ASSERT(!event.fields.empty() && event.fields.size() % 2 == 0);
  for (size_t at = 0; at < event.fields.size(); at += 2) {
    // The first field of that name, and only that one, is the id.
    if (event.fields[at] != kEventIdField) continue;
    SPROCKETS_ASSERT(event.event_id_at == at + 1);
    SPROCKETS_ASSERT(!event.event_id().empty() && event.event_id().size() <= sprockets::kMaxEventIdBytes);
    return;
  }
  SPROCKETS_ASSERT(!event.has_event_id());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sprockets;
  std::vector<std::string_view> args = fuzz::LinesOf(fuzz::TextOf(data, size));
  args.insert(args.begin(), "XADD");
  EventView event;
  if (Status parsed = ParseXadd(args, kEventIdField, &event); !parsed.ok()) {
    SPROCKETS_ASSERT(parsed.error().code == ErrorCode::kUsage && !parsed.error().message.empty());
    return 0;
  }
  CheckLimits(event);

  std::string written;
  AppendXadd(written, event);
  std::vector<std::string_view> words;
  SPROCKETS_ASSERT(ParseWholeCommand(written, &words));
  EventView again;
  SPROCKETS_ASSERT(ParseXadd(words, kEventIdField, &again).ok());
  SPROCKETS_ASSERT(!again.no_mkstream);
  SPROCKETS_ASSERT(again.stream == event.stream && again.options == event.options && again.fields == event.fields &&
                   again.event_id_at == event.event_id_at);
  // NOMKSTREAM aside, nothing that the client said was added or lost.
  SPROCKETS_ASSERT(words.size() + (event.no_mkstream ? 1 : 0) <= args.size());
  return 0;
}
