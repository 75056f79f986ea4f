// Events as rows: a layout that comes back from a file is the one that went in, and a checksum notices every change of
// up to four bytes in a row.
#include <fuzzer/FuzzedDataProvider.h>
#include <optional>
#include <string>
#include <vector>

#include "shared/redis/resp.h"
#include "shared/spill/file.h"
#include "shared/spill/layout.h"
#include "tests/fuzz/any_event.h"

namespace sprockets::fuzz {
namespace {

void CheckLayout(const EventView& event) {
  const std::optional<FieldLayout> layout = FieldLayout::Of(event);
  if (!layout) return;
  SPROCKETS_ASSERT(layout->columns() <= kMaxFieldColumns && layout->Fits(event));
  SPROCKETS_ASSERT(ChecksumOfNames(event.stream, *layout) == ChecksumOfNames(event));

  std::vector<std::string> columns = layout->names();
  const auto id = columns.begin() + static_cast<std::ptrdiff_t>(layout->event_id_at());
  const std::string event_id_field = *id;
  columns.erase(id);
  for (const std::string& column : columns) SPROCKETS_ASSERT(IsColumnName(column));
  const FieldLayout again(columns, event_id_field, layout->event_id_at());
  SPROCKETS_ASSERT(again.names() == layout->names() && again.event_id_at() == layout->event_id_at());

  EventView other = event;
  other.fields.push_back("one more");
  other.fields.push_back("");
  SPROCKETS_ASSERT(!layout->Fits(other));
}

void CheckWords(const std::vector<std::string_view>& words) {
  std::string encoded = "what stood there before";
  EncodeWords(words, &encoded);
  std::vector<std::string_view> decoded;
  SPROCKETS_ASSERT(ParseWholeCommand(encoded, &decoded) && decoded == words);
}

/// `change` in one place of the event: it goes unnoticed once in 2^32 times.
void CheckChecksum(const AnyEvent& any, size_t place, uint8_t change) {
  const EventView event = any.View();
  const Doubt doubt{{place, 7}, ConnectionId{"run", 3}};
  const auto checksum = [](const EventView& of, int64_t ticket, const Doubt* in_doubt) {
    return ChecksumOfRow(ChecksumOfNames(of), ticket, 1000, of, in_doubt);
  };
  const uint32_t before = checksum(event, 5, nullptr);
  SPROCKETS_ASSERT(before == checksum(event, 5, nullptr));
  SPROCKETS_ASSERT(checksum(event, 4, nullptr) != before);
  SPROCKETS_ASSERT(checksum(event, 5, &doubt) != checksum(event, 4, &doubt));

  AnyEvent changed = any;
  std::string& word = changed.fields[place % changed.fields.size()];
  if (word.empty() || change == 0) return;
  word[place / changed.fields.size() % word.size()] ^= static_cast<char>(change);
  SPROCKETS_ASSERT(checksum(changed.View(), 5, nullptr) != before);
}

}  // namespace
}  // namespace sprockets::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sprockets;
  FuzzedDataProvider input(data, size);
  const size_t place = input.ConsumeIntegral<uint16_t>();
  const uint8_t change = input.ConsumeIntegral<uint8_t>();
  const fuzz::AnyEvent any = fuzz::TakeEvent(input);
  const EventView event = any.View();
  fuzz::CheckLayout(event);
  fuzz::CheckWords(event.fields);
  fuzz::CheckWords(event.options);
  fuzz::CheckChecksum(any, place, change);

  const bool is_own = IsOwnId(event, "prod");
  SPROCKETS_ASSERT(!is_own || (event.event_id().starts_with("prod-") && event.event_id_at + 1 == event.fields.size()));
  SPROCKETS_ASSERT(!IsTableName(event.stream) || IsColumnName(event.stream));
  return 0;
}
