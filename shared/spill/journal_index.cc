#include "shared/spill/journal_index.h"

#include <optional>
#include <string_view>

namespace sprockets {

Result<int64_t> LastTicketUpTo(SpillFile& journal, const SpilledStream& stream, StreamId id) {
  int64_t low = 0;                    // the last row that is known to have an id up to `id`
  int64_t high = stream.last_ticket;  // no row above it has one
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    std::optional<int64_t> ticket;  // of the first row behind the middle
    bool is_up_to = false;
    const auto look = [&](const SpilledEvent& row) {
      ticket = row.ticket;
      is_up_to = row.id <= id;
      return false;
    };
    // A damaged row says nothing of its id; the next one does.
    RETURN_IF_ERROR(journal.Visit(stream, middle, high, look, [](int64_t, std::string_view) {}));
    if (ticket && is_up_to) {
      low = *ticket;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace sprockets
