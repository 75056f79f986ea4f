#include "replayer/snapshot/row_batch.h"

#include "shared/base/result.h"

namespace sprockets {

std::string PgBytesText(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "\\x";
  text.reserve(2 + 2 * bytes.size());
  for (const char byte : bytes) {
    text += kDigits[static_cast<unsigned char>(byte) >> 4];
    text += kDigits[static_cast<unsigned char>(byte) & 15];
  }
  return text;
}

Status RowBatch::Add(std::initializer_list<std::string_view> values) {
  SPROCKETS_ASSERT(values.size() == arrays_.size());
  auto array = arrays_.begin();
  for (const std::string_view value : values) {
    *array += array->empty() ? "{\"" : ",\"";
    for (const char letter : value) {
      if (letter == '"' || letter == '\\') *array += '\\';
      *array += letter;
    }
    *array += '"';
    bytes_ += value.size();
    ++array;
  }
  ++rows_;
  return rows_ >= kMostRows || bytes_ >= kMostBytes ? Flush() : Status();
}

Status RowBatch::Flush() {
  if (rows_ == 0) return {};
  for (std::string& array : arrays_) array += '}';
  const auto done = postgres_.Query(sql_, arrays_);
  for (std::string& array : arrays_) array.clear();
  rows_ = 0;
  bytes_ = 0;
  return done.ok() ? Status() : Status(done.error());
}

}  // namespace sprockets
