// The command parser: bytes that arrive in pieces say what they say when they arrive at once, nothing is kept beyond
// the limit, and a command that would be forwarded as it came is written exactly as we (and Redis) write it.
#include <algorithm>
#include <fuzzer/FuzzedDataProvider.h>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/redis/resp.h"

namespace sprockets::fuzz {
namespace {

constexpr size_t kMaxHeaderBytes = 32;  // what the parser may keep beyond the limit: a header that is not complete

/// What a connection makes of its bytes.
struct Heard {
  std::vector<std::vector<std::string>> commands;  // none of them is empty: an empty one stands for kTooLarge
  size_t bytes_left = 0;
  bool in_command = false;
  std::string error;

  bool operator==(const Heard&) const = default;
};

void CheckForwardable(std::string_view command, const CommandParser& parser) {
  std::string written;
  AppendCommand(written, parser.args());
  SPROCKETS_ASSERT(command == written);
  SPROCKETS_ASSERT(parser.body_offset() == command.find('\n') + 1);
  std::vector<std::string_view> args;
  SPROCKETS_ASSERT(ParseWholeCommand(command, &args));
  SPROCKETS_ASSERT(std::equal(args.begin(), args.end(), parser.args().begin(), parser.args().end()));
}

/// Takes what it can out of `buffer`. False: the connection is to be closed.
bool TakeCommands(CommandParser& parser, size_t limit, std::string* buffer, Heard* heard) {
  using Outcome = CommandParser::Outcome;
  while (true) {
    const Outcome outcome = parser.Parse(*buffer);
    SPROCKETS_ASSERT(parser.consumed() <= buffer->size());
    if (outcome == Outcome::kProtocolError) {
      heard->error = parser.error();
      heard->bytes_left = 0;
      heard->in_command = false;
      return false;
    }
    SPROCKETS_ASSERT(outcome == Outcome::kIncomplete || parser.consumed() > 0);
    SPROCKETS_ASSERT(outcome == Outcome::kIncomplete || !parser.in_command());
    if (outcome == Outcome::kComplete) {
      SPROCKETS_ASSERT(!parser.args().empty());
      heard->commands.emplace_back(parser.args().begin(), parser.args().end());
      if (parser.is_array()) {
        SPROCKETS_ASSERT(parser.consumed() <= limit);
        CheckForwardable(std::string_view(*buffer).substr(0, parser.consumed()), parser);
      }
    } else if (outcome == Outcome::kTooLarge) {
      heard->commands.emplace_back();
    }
    buffer->erase(0, parser.consumed());
    if (outcome == Outcome::kIncomplete) break;
  }
  const bool is_array = parser.in_command() && parser.is_array();
  SPROCKETS_ASSERT(!is_array || buffer->size() <= limit + kMaxHeaderBytes);
  heard->bytes_left = buffer->size();
  heard->in_command = parser.in_command();
  return true;
}

/// `next_piece` says how many of the bytes that are left arrive next.
template <typename NextPiece>
Heard Listen(std::string_view bytes, size_t limit, NextPiece next_piece) {
  CommandParser parser(limit);
  Heard heard;
  std::string buffer;
  while (!bytes.empty()) {
    const size_t piece = next_piece(bytes.size());
    buffer.append(bytes.substr(0, piece));
    bytes.remove_prefix(piece);
    if (!TakeCommands(parser, limit, &buffer, &heard)) break;
  }
  return heard;
}

}  // namespace
}  // namespace sprockets::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sprockets::fuzz;
  FuzzedDataProvider input(data, size);
  const size_t limit = input.ConsumeIntegralInRange<size_t>(16, 1024);
  uint32_t pieces = input.ConsumeIntegral<uint32_t>();
  const std::string bytes = input.ConsumeRemainingBytesAsString();

  const Heard whole = Listen(bytes, limit, [](size_t left) { return left; });
  const Heard byte_by_byte = Listen(bytes, limit, [](size_t) { return size_t{1}; });
  const Heard in_pieces = Listen(bytes, limit, [&pieces](size_t left) {
    pieces = pieces * 1664525 + 1013904223;  // a generator of Numerical Recipes: seeded by the input, so repeatable
    return std::min<size_t>(left, 1 + (pieces >> 16) % 40);
  });
  SPROCKETS_ASSERT(whole == byte_by_byte);
  SPROCKETS_ASSERT(whole == in_pieces);
  return 0;
}
