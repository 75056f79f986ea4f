// RESP, the protocol of Redis: writing replies of RESP2 and RESP3, and parsing the commands that clients send. Pure.
// https://redis.io/docs/reference/protocol-spec/
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sprockets {

void AppendArrayHeader(std::string& out, size_t elements);
void AppendBulk(std::string& out, std::string_view bytes);
// `protocol`: 2 or 3, as the client has chosen by HELLO.
void AppendNull(std::string& out, int protocol);
/// Of so many pairs. In RESP2 a map is an array of keys and values.
void AppendMapHeader(std::string& out, size_t pairs, int protocol);
/// A text for people, which RESP3 marks as such.
void AppendText(std::string& out, std::string_view text, int protocol);
void AppendInteger(std::string& out, int64_t value);
/// CR and LF in `text` become spaces: a simple string or an error is one line.
void AppendSimple(std::string& out, std::string_view text);
void AppendError(std::string& out, std::string_view text);
/// A whole command: an array of bulk strings.
void AppendCommand(std::string& out, std::span<const std::string_view> args);
std::string MakeCommand(std::initializer_list<std::string_view> args);

/// Parses one command at a time out of a byte stream that arrives in pieces: arrays of bulk strings, or
/// inline commands with redis-cli's quoting. Resumable, so a large command that trickles in is scanned once.
///
/// The caller keeps the bytes of the unfinished command contiguous and passes all of them each time, from the
/// first byte that was not yet consumed. A command over `max_command_bytes` is not stored: its bytes are
/// consumed as they come and the outcome is kTooLarge once it has passed, so that the connection stays usable.
class CommandParser {
 public:
  enum class Outcome {
    kIncomplete,     // drop consumed() bytes (not zero only while skipping), come back with more
    kComplete,       // args() point into the input; drop consumed() bytes when done with them
    kEmpty,          // "*0", "*-1" or a blank line: no reply; drop consumed() bytes
    kTooLarge,       // a whole command went by that is over the limit; reply, drop consumed() bytes
    kProtocolError,  // error() says why, in Redis's words; reply and close
  };

  explicit CommandParser(size_t max_command_bytes) : max_command_bytes_(max_command_bytes) {}

  Outcome Parse(std::string_view input);

  std::span<const std::string_view> args() const { return args_; }
  size_t consumed() const { return consumed_; }
  const std::string& error() const { return error_; }
  /// The command came as a RESP array, so its bytes may be forwarded as they are.
  bool is_array() const { return !is_inline_; }
  /// Offset of the first byte behind the array header ("*5\r\n"); with is_array() only.
  size_t body_offset() const { return body_offset_; }
  /// How many bytes the command has at least: what to reserve before reading on.
  size_t bytes_wanted() const { return bytes_wanted_; }
  /// Some bytes of a command were seen, but not all.
  bool in_command() const { return in_command_; }

 private:
  struct Range {
    size_t offset;
    size_t size;
  };
  enum class Line { kPartial, kDone, kBad };

  void Reset();
  Outcome ParseArray(std::string_view input);
  Outcome ParseInline(std::string_view input);
  Outcome Skip(std::string_view input);
  Outcome Fail(std::string_view why);
  Line ReadNumber(std::string_view input, int64_t* number);

  const size_t max_command_bytes_;
  size_t position_ = 0;         // how far the current command has been scanned
  int64_t elements_left_ = -1;  // -1: the array header was not read yet
  int64_t bulk_bytes_ = -1;     // -1: the bulk header was not read yet
  uint64_t skip_bytes_ = 0;     // of the current bulk, while the command is too large
  bool skipping_ = false;
  bool in_command_ = false;
  bool is_inline_ = false;
  size_t body_offset_ = 0;
  size_t bytes_wanted_ = 0;
  size_t consumed_ = 0;
  std::vector<Range> ranges_;
  std::vector<std::string_view> args_;
  std::string inline_storage_;  // unquoted words of an inline command
  std::string error_;
};

/// Parses `bytes` as exactly one array of bulk strings, as AppendCommand writes it: the form in which an event
/// is kept in memory and in the spill's `_raw`. False if it is anything else. The views point into `bytes`.
bool ParseWholeCommand(std::string_view bytes, std::vector<std::string_view>* args);

}  // namespace sprockets
