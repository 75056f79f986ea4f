#include "shared/journal/restore.h"

namespace sprockets {

void Restore(const JournalContents& contents, const LandedMarks& marks, bool others_too, Forwarder* forwarder) {
  for (const auto& [name, id] : contents.committed) forwarder->AddStream(name, id);
  for (const auto& [name, mark] : marks) {
    if (others_too || contents.committed.contains(name)) forwarder->Restore(mark);
  }
  for (const auto& [origin, ticket] : contents.current) forwarder->AddMoved(origin, ticket);
  for (const JournalFile& file : contents.files) {
    for (const auto& [name, first] : file.first_ids) {
      if (!contents.committed.contains(name)) continue;
      forwarder->AddSalvaged(*forwarder->FindStream(name), Before(first), file.last_ids.find(name)->second);
    }
  }
}

}  // namespace sprockets
