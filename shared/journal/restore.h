// What the journals and marks of earlier lives tell a forwarder, before it is connected.
#pragma once

#include "shared/ahead/forwarder.h"
#include "shared/journal/journal_contents.h"
#include "shared/spill/state_file.h"

namespace sprockets {

/// Of the streams in `contents.committed`; with `others_too`, marks of streams without journals count as well: their
/// ids go on above what landed.
void Restore(const JournalContents& contents, const LandedMarks& marks, bool others_too, Forwarder* forwarder);

}  // namespace sprockets
