#include "shared/journal/entry_tags.h"

#include <algorithm>
#include <set>

#include <sodium.h>

namespace sprockets {

EntryTag RandomEntryTag() {
  SPROCKETS_ASSERT(sodium_init() >= 0);
  return 1 + randombytes_uniform(kMostEntryTag);
}

std::vector<EntryTag> TagsOf(const JournalContents& contents) {
  std::set<EntryTag> tags;
  for (const JournalFile& file : contents.files) {
    for (const auto& [stream, id] : file.last_ids) tags.insert(TagOf(id));
  }
  return {tags.begin(), tags.end()};
}

Result<std::vector<EntryTag>> DrawTag(const JournalContents& contents, StateFile* state,
                                      const std::function<EntryTag()>& random) {
  std::vector<EntryTag> tags = TagsOf(contents);
  tags.insert(tags.end(), state->tags().begin(), state->tags().end());
  EntryTag tag = random();
  while (std::find(tags.begin(), tags.end(), tag) != tags.end()) tag = random();
  tags.push_back(tag);
  RETURN_IF_ERROR(state->AddTag(tag));
  return tags;
}

}  // namespace sprockets
