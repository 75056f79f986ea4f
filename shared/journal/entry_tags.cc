#include "shared/journal/entry_tags.h"

#include <algorithm>
#include <set>
#include <span>

#include <sodium.h>

namespace sprockets {

namespace {

EntryTag RandomTag(std::span<const EntryTag> taken) {
  SPROCKETS_ASSERT(sodium_init() >= 0);
  EntryTag tag = 0;
  do {
    tag = 1 + randombytes_uniform(kMostEntryTag);
  } while (std::find(taken.begin(), taken.end(), tag) != taken.end());
  return tag;
}

}  // namespace

std::vector<EntryTag> TagsOf(const JournalContents& contents) {
  std::set<EntryTag> tags;
  for (const JournalFile& file : contents.files) {
    for (const auto& [stream, id] : file.last_ids) tags.insert(TagOf(id));
  }
  return {tags.begin(), tags.end()};
}

Result<std::vector<EntryTag>> DrawTag(const JournalContents& contents, StateFile* state) {
  std::vector<EntryTag> tags = TagsOf(contents);
  tags.insert(tags.end(), state->tags().begin(), state->tags().end());
  tags.push_back(RandomTag(tags));
  RETURN_IF_ERROR(state->AddTag(tags.back()));
  return tags;
}

}  // namespace sprockets
