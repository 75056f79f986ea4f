// PostgreSQL's binary format: what COPY and binary parameters carry. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sprockets {

inline constexpr std::string_view kPgCopySignature{"PGCOPY\n\377\r\n\0", 11};
inline constexpr size_t kPgCopyHeaderBytes = 11 + 4 + 4;  // the signature, flags, the length of an extension
/// 2000-01-01, from which PostgreSQL counts timestamps in microseconds.
inline constexpr int64_t kPgEpochMs = 946'684'800'000;

uint32_t PgUint32(std::string_view bytes);
int64_t PgInt8(std::string_view bytes);
double PgFloat8(std::string_view bytes);

void AppendPgInt2(std::string& out, int16_t value);
void AppendPgInt4(std::string& out, int32_t value);
void AppendPgInt8(std::string& out, int64_t value);

// Fields of a row of COPY: a length, then the value.
void AppendPgField(std::string& out, std::string_view bytes);
void AppendPgNullField(std::string& out);
void AppendPgInt8Field(std::string& out, int64_t value);
/// Milliseconds since 1970, UTC.
void AppendPgTimestampField(std::string& out, int64_t ms);

/// The head of an array of one dimension, `count` values of the type `element_oid` above 0, none of them NULL: each
/// follows as a field. Below 1 value, PostgreSQL wants no dimension: not for that.
inline constexpr size_t kPgArrayHeadBytes = 5 * 4;
void AppendPgArrayHead(std::string& out, uint32_t element_oid, size_t count);
/// An array of texts, without a length before it: a binary parameter of text[].
std::string PgTextArray(std::span<const std::string_view> texts);

/// Lengths and counts are of 32 bits.
inline constexpr size_t kPgMostBytes = 0x3fffffff;  // of one value: PostgreSQL's MaxAllocSize

}  // namespace sprockets
