// A client as sidecar/README.md asks for: what was not acknowledged is sent again, under the same event id, until it
// is. Or one that gives up.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tests/harness/ledger.h"
#include "tests/harness/resp_client.h"

namespace sprockets::harness {

/// One thread at a time. What it sends and what was promised goes into the ledger.
class CarefulClient {
 public:
  /// Clients of one ledger are told apart by `number`.
  CarefulClient(std::filesystem::path socket_path, Ledger& ledger, size_t number = 0);

  /// Never again offers an event that was answered RETRY, nor one without an event id that got no answer.
  void set_gives_up(bool gives_up) { gives_up_ = gives_up; }

  struct Counts {
    size_t landed = 0;
    size_t spilled = 0;
    size_t retried = 0;   // answers RETRY and UNKNOWN, and events without any answer
    size_t given_up = 0;  // of those
    size_t invalid = 0;

    Counts& operator+=(const Counts& other);
  };

  /// Sends `events` as one pipeline, again and again those that are not acknowledged. Throws when some still are not
  /// after `limit`; when one is answered otherwise than documented; or when one without an event id got no answer,
  /// because sending that again might double it.
  Counts Send(std::span<const Event> events, std::chrono::milliseconds limit = kPatience);
  /// The same events once more, as when a delivery is repeated: acknowledged again, and stored once all the same. Each
  /// must have an event id.
  void SendAgain(std::span<const Event> events, std::chrono::milliseconds limit = kPatience);

 private:
  struct Offer {
    Event event;
    bool again = false;         // it was sent before
    bool maybe_stored = false;  // … and had another answer than RETRY, or none
    bool repeats = false;       // it is in the books already
  };
  Counts SendAll(std::vector<Offer> waiting, std::chrono::milliseconds limit);
  /// One pipeline; what must be sent again stays in `waiting`.
  void Try(std::vector<Offer>& waiting, Counts& counts);
  /// True if the event must be sent again. An UNKNOWN names the id under which that is safe.
  bool MustRetry(Offer& offer, const std::optional<Reply>& reply, Counts& counts);

  std::filesystem::path socket_path_;
  Ledger& ledger_;
  size_t number_;
  bool gives_up_ = false;
  std::optional<RespClient> connection_;
};

}  // namespace sprockets::harness
