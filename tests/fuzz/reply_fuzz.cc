// Replies of a server, cut anywhere: the client is given the same bytes as when they come at once, and what is owed to
// it is the same.
#include <fuzzer/FuzzedDataProvider.h>
#include <string>
#include <string_view>

#include "shared/base/result.h"
#include "sidecar/core/relay_session.h"

namespace sprockets::fuzz {
namespace {

struct Given {
  std::string bytes;
  bool ok = true;
  size_t unanswered = 0;
  bool subscribed = false;
  bool in_passed_reply = false;

  bool operator==(const Given&) const = default;
};

/// What a client is given of `replies`, that come in pieces of `step` bytes, to commands whose kinds are `answers`.
Given Give(std::string_view replies, std::string_view answers, size_t step) {
  RelaySession session;
  for (const char answer : answers)
    session.Expect(static_cast<RelaySession::Answer>(static_cast<unsigned char>(answer) % 6), 0);
  Given given;
  for (size_t at = 0; at < replies.size() && given.ok; at += step) {
    given.ok = session
                   .Take(
                       replies.substr(at, step), [&](std::string_view passed) { given.bytes += passed; },
                       [] { return std::string("ours"); })
                   .ok;
  }
  given.unanswered = session.unanswered();
  given.subscribed = session.subscribed();
  given.in_passed_reply = session.in_passed_reply();
  return given;
}

}  // namespace
}  // namespace sprockets::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sprockets::fuzz;
  FuzzedDataProvider input(data, size);
  const size_t step = input.ConsumeIntegralInRange<size_t>(1, 64);
  const std::string answers = input.ConsumeRandomLengthString(16);
  const std::string replies = input.ConsumeRemainingBytesAsString();
  Given at_once = Give(replies, answers, replies.size() + 1);
  Given in_pieces = Give(replies, answers, step);
  SPROCKETS_ASSERT(at_once.ok == in_pieces.ok);
  // What stands before bytes that are no reply may have been passed already, or not: its connection ends with them.
  if (!at_once.ok) return 0;

  SPROCKETS_ASSERT(at_once == in_pieces);
  return 0;
}
