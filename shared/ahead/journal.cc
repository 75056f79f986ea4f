#include "shared/ahead/journal.h"

#include "shared/base/result.h"
#include "shared/redis/resp.h"

namespace sprockets {

namespace {

constexpr size_t kBytesBesideWord = 16;   // "$<length>\r\n" and "\r\n"
constexpr size_t kBytesBesideWords = 96;  // the header, XADD, the id

}  // namespace

JournalRow JournalRow::Of(int64_t ticket, int64_t origin, StreamId id, const EventView& event) {
  JournalRow row{ticket, origin, id, {}, 2 + event.options.size()};
  size_t bytes = kBytesBesideWords + event.stream.size() + kBytesBesideWord;
  for (const std::string_view option : event.options) bytes += option.size() + kBytesBesideWord;
  for (const std::string_view field : event.fields) bytes += field.size() + kBytesBesideWord;
  row.xadd.reserve(bytes);
  AppendXadd(row.xadd, event, ToString(id));
  return row;
}

JournalRow JournalRow::Under(StreamId other) const {
  std::vector<std::string_view> words;
  SPROCKETS_ASSERT(ParseWholeCommand(xadd, &words));
  const std::string text = ToString(other);
  words[id_word] = text;
  JournalRow row{0, origin, other, {}, id_word};
  AppendCommand(row.xadd, words);
  return row;
}

}  // namespace sprockets
