#include "replayer/postgres/bytea_array.h"

#include <cstddef>
#include <cstdint>

#include "replayer/postgres/binary.h"
#include "replayer/postgres/postgres.h"

namespace sprockets {
namespace {

/// Takes numbers and bytes from the front; none: there are not so many.
class ArrayBytes {
 public:
  explicit ArrayBytes(std::string_view bytes) : rest_(bytes) {}

  std::optional<int32_t> Number() {
    const auto four = Bytes(4);
    if (!four) return std::nullopt;
    return static_cast<int32_t>(PgUint32(*four));
  }
  std::optional<std::string_view> Bytes(size_t size) {
    if (rest_.size() < size) return std::nullopt;
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

}  // namespace

// Dimensions, whether there are NULLs, the elements' type; of each dimension its length and first index; of each
// element its length, or -1 where it is NULL, and its bytes (array_send in PostgreSQL's arrayfuncs.c).
bool ReadByteaArray(std::string_view bytes, std::vector<std::optional<std::string_view>>* elements) {
  elements->clear();
  ArrayBytes array(bytes);
  const std::optional<int32_t> dimensions = array.Number();
  const std::optional<int32_t> has_nulls = array.Number();
  const std::optional<int32_t> type = array.Number();
  if (!dimensions || !has_nulls || !type || *dimensions < 0 || *dimensions > 1) return false;
  if (static_cast<uint32_t>(*type) != kPgBytea) return false;
  if (*dimensions == 0) return array.empty();
  const std::optional<int32_t> count = array.Number();
  const std::optional<int32_t> first_index = array.Number();
  if (!count || !first_index || *count < 0) return false;
  for (int32_t i = 0; i < *count; ++i) {
    const std::optional<int32_t> size = array.Number();
    if (!size) return false;
    if (*size < 0) {
      elements->emplace_back();
      continue;
    }
    const auto element = array.Bytes(static_cast<size_t>(*size));
    if (!element) return false;
    elements->emplace_back(*element);
  }
  return array.empty();
}

}  // namespace sprockets
