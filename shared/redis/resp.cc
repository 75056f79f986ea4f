// RESP2: writing it, and the resumable command parser. Pure.
#include "shared/redis/resp.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "shared/base/limits.h"
#include "shared/base/text.h"

namespace sprockets {

namespace {

// More words than this are no event: beyond it a command is passed over rather than kept.
constexpr size_t kMaxKeptArgs = 2 * (kMaxFields + 1) + 14;
constexpr size_t kMaxHeaderBytes = 32;  // "*<number>\r\n": longer is nonsense

void AppendHeader(std::string& out, char type, int64_t number) {
  char buffer[24];
  buffer[0] = type;
  char* end = std::to_chars(buffer + 1, buffer + 22, number).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.append(buffer, static_cast<size_t>(end - buffer));
}

void AppendLine(std::string& out, char type, std::string_view text) {
  out.push_back(type);
  const size_t begin = out.size();
  out.append(text);
  std::replace_if(
      out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
  out.append("\r\n");
}

// As strict as Redis's string2ll: no sign but a minus, no leading zero (so no "-0" either), no blank. Redis closes the
// connection over a number that it does not like, with everything that others have in flight on it.
bool ParseHeaderNumber(std::string_view text, int64_t* number) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.empty() || (digits[0] == '0' && text.size() > 1)) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc{} && end == text.data() + text.size();
}

// What nearly every header is: its type, a few digits and the line's end, all there. False: look closer.
bool ReadShortHeader(std::string_view bytes, int64_t* number, size_t* size) {
  constexpr size_t kMostDigits = 9;
  size_t at = 1;
  int64_t value = 0;
  const size_t end = std::min(bytes.size(), 1 + kMostDigits);
  while (at < end && bytes[at] >= '0' && bytes[at] <= '9') value = 10 * value + (bytes[at++] - '0');
  const bool has_number = at > 1 && (bytes[1] != '0' || at == 2);
  if (!has_number || bytes.size() - at < 2 || bytes[at] != '\r' || bytes[at + 1] != '\n') return false;
  *number = value;
  *size = at + 2;
  return true;
}

bool IsBlank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' || c == '\0';
}

// One escape sequence of a double-quoted inline word; `at` stands on the backslash.
char Unescape(std::string_view line, size_t* at) {
  const char kind = line[*at + 1];
  if (kind == 'x' && *at + 3 < line.size()) {
    if (const std::optional<char> byte = HexByte(line.substr(*at + 2, 2))) {
      *at += 4;
      return *byte;
    }
  }
  *at += 2;
  switch (kind) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return kind;
  }
}

// Appends one word of an inline command, quoted as redis-cli quotes, to `word`. False: unbalanced quotes.
bool ReadInlineWord(std::string_view line, size_t* at, std::string* word) {
  const char quote = line[*at] == '"' || line[*at] == '\'' ? line[*at] : '\0';
  if (quote == '\0') {
    while (*at < line.size() && !IsBlank(line[*at])) word->push_back(line[(*at)++]);
    return true;
  }
  ++*at;
  while (*at < line.size()) {
    const char c = line[*at];
    if (c == quote) {
      ++*at;
      return *at == line.size() || IsBlank(line[*at]);
    }
    if (c == '\\' && quote == '"' && *at + 1 < line.size()) {
      word->push_back(Unescape(line, at));
    } else if (c == '\\' && quote == '\'' && *at + 1 < line.size() && line[*at + 1] == '\'') {
      word->push_back('\'');
      *at += 2;
    } else {
      word->push_back(c);
      ++*at;
    }
  }
  return false;
}

}  // namespace

void AppendArrayHeader(std::string& out, size_t elements) {
  AppendHeader(out, '*', static_cast<int64_t>(elements));
}

void AppendBulk(std::string& out, std::string_view bytes) {
  AppendHeader(out, '$', static_cast<int64_t>(bytes.size()));
  out.append(bytes);
  out.append("\r\n");
}

void AppendNull(std::string& out, int protocol) {
  out += protocol == 3 ? "_\r\n" : "$-1\r\n";
}

void AppendMapHeader(std::string& out, size_t pairs, int protocol) {
  if (protocol == 2) return AppendArrayHeader(out, 2 * pairs);
  AppendHeader(out, '%', pairs);
}

void AppendText(std::string& out, std::string_view text, int protocol) {
  if (protocol == 2) return AppendBulk(out, text);
  AppendHeader(out, '=', text.size() + 4);
  out.append("txt:").append(text).append("\r\n");
}
void AppendInteger(std::string& out, int64_t value) {
  AppendHeader(out, ':', value);
}
void AppendSimple(std::string& out, std::string_view text) {
  AppendLine(out, '+', text);
}
void AppendError(std::string& out, std::string_view text) {
  AppendLine(out, '-', text);
}

void AppendCommand(std::string& out, std::span<const std::string_view> args) {
  AppendArrayHeader(out, args.size());
  for (const std::string_view arg : args) AppendBulk(out, arg);
}

std::string MakeCommand(std::initializer_list<std::string_view> args) {
  std::string command;
  AppendCommand(command, {args.begin(), args.size()});
  return command;
}

void CommandParser::Reset() {
  position_ = 0;
  elements_left_ = -1;
  bulk_bytes_ = -1;
  skip_bytes_ = 0;
  skipping_ = false;
  in_command_ = false;
  is_inline_ = false;
  body_offset_ = 0;
  bytes_wanted_ = 0;
  ranges_.clear();
}

CommandParser::Outcome CommandParser::Fail(std::string_view why) {
  error_ = "Protocol error: ";
  error_ += why;
  consumed_ = 0;
  return Outcome::kProtocolError;
}

CommandParser::Outcome CommandParser::Parse(std::string_view input) {
  consumed_ = 0;
  if (!in_command_) {
    if (input.empty()) return Outcome::kIncomplete;
    Reset();
    args_.clear();
    in_command_ = true;
    is_inline_ = input[0] != '*';
  }
  if (is_inline_) return ParseInline(input);
  const Outcome outcome = skipping_ ? Skip(input) : ParseArray(input);
  if (outcome != Outcome::kIncomplete) in_command_ = false;
  return outcome;
}

// Reads "<type><number>\r\n" at position_ and moves behind it.
CommandParser::Line CommandParser::ReadNumber(std::string_view input, int64_t* number) {
  const std::string_view rest = input.substr(position_, kMaxHeaderBytes);
  if (size_t size = 0; ReadShortHeader(rest, number, &size)) {
    position_ += size;
    return Line::kDone;
  }
  const size_t end = rest.find('\r');
  if (end == std::string_view::npos || end + 1 >= rest.size()) {
    bytes_wanted_ = position_ + 1;
    return rest.size() == kMaxHeaderBytes ? Line::kBad : Line::kPartial;
  }
  if (rest[end + 1] != '\n' || !ParseHeaderNumber(rest.substr(1, end - 1), number)) return Line::kBad;
  position_ += end + 2;
  return Line::kDone;
}

CommandParser::Outcome CommandParser::ParseArray(std::string_view input) {
  if (elements_left_ < 0) {
    int64_t elements = 0;
    const Line line = ReadNumber(input, &elements);
    if (line == Line::kPartial) return Outcome::kIncomplete;
    if (line == Line::kBad || elements > static_cast<int64_t>(kMaxCommandArgs)) return Fail("invalid multibulk length");
    body_offset_ = position_;
    if (elements <= 0) {
      consumed_ = position_;
      return Outcome::kEmpty;
    }
    elements_left_ = elements;
    if (elements > static_cast<int64_t>(kMaxKeptArgs)) return Skip(input);
  }
  while (elements_left_ > 0) {
    if (bulk_bytes_ < 0) {
      if (position_ >= input.size()) return Outcome::kIncomplete;
      if (input[position_] != '$') return Fail("expected '$', got something else");
      int64_t bytes = 0;
      const Line line = ReadNumber(input, &bytes);
      if (line == Line::kPartial) return Outcome::kIncomplete;
      if (line == Line::kBad || bytes < 0 || bytes > static_cast<int64_t>(kMaxBulkBytes))
        return Fail("invalid bulk length");
      bulk_bytes_ = bytes;
      if (position_ + static_cast<size_t>(bytes) + 2 > max_command_bytes_) {
        skip_bytes_ = static_cast<uint64_t>(bytes) + 2;
        return Skip(input);
      }
    }
    const size_t bytes = static_cast<size_t>(bulk_bytes_);
    if (input.size() - position_ < bytes + 2) {
      bytes_wanted_ = position_ + bytes + 2;
      return Outcome::kIncomplete;
    }
    // Redis takes any two bytes here; we pass the command on as it is, so it has to be right.
    if (input[position_ + bytes] != '\r' || input[position_ + bytes + 1] != '\n')
      return Fail("expected CRLF behind a bulk string");
    ranges_.push_back({position_, bytes});
    position_ += bytes + 2;
    bulk_bytes_ = -1;
    --elements_left_;
  }
  args_.clear();
  for (const Range range : ranges_) args_.push_back(input.substr(range.offset, range.size));
  consumed_ = position_;
  return Outcome::kComplete;
}

// Passes over the rest of a command that is too large. What was scanned is consumed, so positions begin again at 0.
CommandParser::Outcome CommandParser::Skip(std::string_view input) {
  skipping_ = true;
  const auto need_more = [this] {
    consumed_ = position_;
    position_ = 0;
    bytes_wanted_ = 0;
    return Outcome::kIncomplete;
  };
  while (elements_left_ > 0) {
    if (bulk_bytes_ < 0) {
      if (position_ >= input.size()) return need_more();
      if (input[position_] != '$') return Fail("expected '$', got something else");
      int64_t bytes = 0;
      const Line line = ReadNumber(input, &bytes);
      if (line == Line::kPartial) return need_more();
      if (line == Line::kBad || bytes < 0 || bytes > static_cast<int64_t>(kMaxBulkBytes))
        return Fail("invalid bulk length");
      bulk_bytes_ = bytes;
      skip_bytes_ = static_cast<uint64_t>(bytes) + 2;
    }
    const size_t skipped = static_cast<size_t>(std::min<uint64_t>(skip_bytes_, input.size() - position_));
    position_ += skipped;
    skip_bytes_ -= skipped;
    if (skip_bytes_ > 0) return need_more();
    bulk_bytes_ = -1;
    --elements_left_;
  }
  consumed_ = position_;
  return Outcome::kTooLarge;
}

CommandParser::Outcome CommandParser::ParseInline(std::string_view input) {
  const size_t end = input.substr(0, kMaxInlineBytes).find('\n', position_);
  if (end == std::string_view::npos) {
    position_ = std::min(input.size(), kMaxInlineBytes);
    bytes_wanted_ = input.size() + 1;
    return input.size() >= kMaxInlineBytes ? Fail("too big inline request") : Outcome::kIncomplete;
  }
  in_command_ = false;
  const std::string_view line = input.substr(0, end);
  inline_storage_.clear();
  for (size_t at = 0; at < line.size();) {
    if (IsBlank(line[at])) {
      ++at;
      continue;
    }
    const size_t begin = inline_storage_.size();
    if (!ReadInlineWord(line, &at, &inline_storage_)) return Fail("unbalanced quotes in request");
    ranges_.push_back({begin, inline_storage_.size() - begin});
  }
  consumed_ = end + 1;
  if (ranges_.empty()) return Outcome::kEmpty;
  const std::string_view words = inline_storage_;
  for (const Range range : ranges_) args_.push_back(words.substr(range.offset, range.size));
  return Outcome::kComplete;
}

bool ParseWholeCommand(std::string_view bytes, std::vector<std::string_view>* args) {
  args->clear();
  size_t at = 0;
  const auto read_header = [&](char type, int64_t* number) {
    if (at >= bytes.size() || bytes[at] != type) return false;
    if (size_t size = 0; ReadShortHeader(bytes.substr(at), number, &size)) {
      at += size;
      return true;
    }
    const size_t end = bytes.substr(at, kMaxHeaderBytes).find("\r\n");
    if (end == std::string_view::npos || !ParseHeaderNumber(bytes.substr(at + 1, end - 1), number)) return false;
    at += end + 2;
    return *number >= 0;
  };
  int64_t elements = 0;
  // Every element takes five bytes at least, so the count cannot make us reserve more than was stored.
  if (!read_header('*', &elements) || elements > static_cast<int64_t>(bytes.size() / 5)) return false;
  args->reserve(static_cast<size_t>(elements));
  for (int64_t i = 0; i < elements; ++i) {
    int64_t size = 0;
    if (!read_header('$', &size) || static_cast<uint64_t>(size) + 2 > bytes.size() - at) return false;
    args->push_back(bytes.substr(at, static_cast<size_t>(size)));
    at += static_cast<size_t>(size);
    if (bytes.substr(at, 2) != "\r\n") return false;
    at += 2;
  }
  return at == bytes.size();
}

}  // namespace sprockets
