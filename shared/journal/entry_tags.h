// The tags of the entry ids in a folder's journals: those that were used, and a new one for whoever gives ids next. The
// thread that holds the folder's lock.
#pragma once

#include <functional>
#include <vector>

#include "shared/ahead/entry_id.h"
#include "shared/base/result.h"
#include "shared/journal/journal_contents.h"
#include "shared/spill/state_file.h"

namespace sprockets {

/// Of the highest ids in the journals: should the state file be lost, its tags are not.
std::vector<EntryTag> TagsOf(const JournalContents& contents);

/// 1 to kMostEntryTag, each as likely.
EntryTag RandomEntryTag();

/// All tags that were ever drawn, and a new one, the last: it is written down before the first id is made with it.
Result<std::vector<EntryTag>> DrawTag(const JournalContents& contents, StateFile* state,
                                      const std::function<EntryTag()>& random = RandomEntryTag);

}  // namespace sprockets
