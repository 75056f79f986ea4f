#include "replayer/postgres/binary.h"

#include <bit>

namespace sprockets {
namespace {

constexpr uint32_t kTextOid = 25;

void AppendBigEndian(std::string& out, uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift & 0xff));
}

}  // namespace

uint32_t PgUint32(std::string_view bytes) {
  uint32_t value = 0;
  for (const char byte : bytes.substr(0, 4)) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

int64_t PgInt8(std::string_view bytes) {
  return static_cast<int64_t>(uint64_t{PgUint32(bytes)} << 32 | PgUint32(bytes.substr(4)));
}

double PgFloat8(std::string_view bytes) {
  return std::bit_cast<double>(PgInt8(bytes));
}

void AppendPgInt2(std::string& out, int16_t value) {
  AppendBigEndian(out, static_cast<uint16_t>(value), 2);
}

void AppendPgInt4(std::string& out, int32_t value) {
  AppendBigEndian(out, static_cast<uint32_t>(value), 4);
}

void AppendPgInt8(std::string& out, int64_t value) {
  AppendBigEndian(out, static_cast<uint64_t>(value), 8);
}

void AppendPgField(std::string& out, std::string_view bytes) {
  AppendPgInt4(out, static_cast<int32_t>(bytes.size()));
  out.append(bytes);
}

void AppendPgNullField(std::string& out) {
  AppendPgInt4(out, -1);
}

void AppendPgInt8Field(std::string& out, int64_t value) {
  AppendPgInt4(out, 8);
  AppendPgInt8(out, value);
}

void AppendPgTimestampField(std::string& out, int64_t ms) {
  AppendPgInt8Field(out, (ms - kPgEpochMs) * 1'000);
}

void AppendPgArrayHead(std::string& out, uint32_t element_oid, size_t count) {
  AppendPgInt4(out, 1);  // dimension
  AppendPgInt4(out, 0);  // no NULL among the values
  AppendPgInt4(out, static_cast<int32_t>(element_oid));
  AppendPgInt4(out, static_cast<int32_t>(count));
  AppendPgInt4(out, 1);  // the first index
}

std::string PgTextArray(std::span<const std::string_view> texts) {
  std::string array;
  if (texts.empty()) {
    AppendPgInt4(array, 0);
    AppendPgInt4(array, 0);
    AppendPgInt4(array, static_cast<int32_t>(kTextOid));
    return array;
  }
  AppendPgArrayHead(array, kTextOid, texts.size());
  for (const std::string_view text : texts) AppendPgField(array, text);
  return array;
}

}  // namespace sprockets
