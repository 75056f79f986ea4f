// Words of the command line, of logs and of JSON: sizes, durations, globs, escaping. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace sprockets {

/// "250ms", "5s", "10m", "72h", "2d"; "0" alone is allowed. Milliseconds. An integer and a unit, nothing else; overflow
/// is an error.
Result<int64_t> ParseDurationMs(std::string_view text);

/// "4096", "64KiB", "8MiB", "8GiB", "1TiB"; also "512B". Bytes. Decimal units ("MB") are refused with the way out.
Result<int64_t> ParseSizeBytes(std::string_view text);

/// A whole number within [least, most].
Result<int64_t> ParseInteger(std::string_view text, int64_t least, int64_t most);

/// "8.0 MiB", "1.5 GiB", "512 B": for people.
std::string FormatSize(uint64_t bytes);
/// "250ms", "4.2s", "3m 05s", "2h 07m": for people.
std::string FormatDuration(int64_t ms);
/// "1 234 567": for people.
std::string FormatCount(uint64_t count);

/// Shell-style glob over bytes: '*', '?', '[a-c]', '[^…]', '\' escapes: the semantics of Redis's KEYS.
bool GlobMatch(std::string_view pattern, std::string_view text);

/// Does any of the patterns match, or is there none?
bool GlobMatchAny(std::span<const std::string> patterns, std::string_view text);

/// ASCII letters alone, as Redis compares the names of commands.
std::string LowerCase(std::string_view text);

/// Is this well-formed UTF-8 (no overlong forms, no surrogates)? NUL is well-formed.
bool IsUtf8(std::string_view bytes);

/// The byte that two hex digits of either case stand for; nothing if `digits` is anything else.
std::optional<char> HexByte(std::string_view digits);

/// Printable ASCII as it is; everything else, the backslash and the double quote as \n, \r, \t, \\, \" or \xHH.
/// For logs and for error replies: the result has no line break and no control byte. At most `max_bytes` of the input
/// are shown, then "…".
std::string Escape(std::string_view bytes, size_t max_bytes = 256);

/// `bytes` as an SQL identifier: in double quotes, doubled inside. The one function that quotes names.
/// The caller has made sure that there is no NUL.
std::string QuoteIdentifier(std::string_view name);

/// `bytes` in base64 (RFC 4648), with padding.
std::string Base64(std::string_view bytes);

/// `bytes` as a JSON value, appended: a string where it is UTF-8, else {"base64":"…"}.
void AppendJsonBytes(std::string& out, std::string_view bytes);
/// `text` as a JSON string, appended, with its quotes. Invalid UTF-8 is replaced by U+FFFD.
void AppendJsonString(std::string& out, std::string_view text);

}  // namespace sprockets
