// An event: one XADD, as a client gave it, and its identity. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace sprockets {

/// An event as views into memory that somebody else keeps alive. Cheap to reuse: the vectors keep their room.
struct EventView {
  static constexpr size_t kNoEventId = static_cast<size_t>(-1);

  std::string_view stream;
  bool no_mkstream = false;
  std::vector<std::string_view> options;  // MAXLEN | MINID and what follows, as given; without NOMKSTREAM and the '*'
  std::vector<std::string_view> fields;   // name, value, name, value, …; the event id's field among them
  size_t event_id_at = kNoEventId;        // index in `fields` of the event id's value: the first field of that name

  bool has_event_id() const { return event_id_at != kNoEventId; }
  std::string_view event_id() const { return fields[event_id_at]; }
};

/// Reads `XADD stream [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT n]] * field value …` (args[0] is the
/// command's name) into `event`. Everything that Redis 7.0 would refuse whatever its state is refused here, so that
/// nothing acknowledged is refused for ever. The error is kUsage and its text follows "-INVALID ".
/// An empty event id, or one over kMaxEventIdBytes, is an error; a missing one is not.
Status ParseXadd(std::span<const std::string_view> args, std::string_view event_id_field, EventView* event);

/// The XADD of `event` in RESP, appended. NOMKSTREAM is not written: an event that was spilled was acknowledged, so
/// it must be stored. `id`: the entry's, or "*".
void AppendXadd(std::string& out, const EventView& event, std::string_view id = "*");

/// 128 bits of SipHash-2-4 (https://www.aumasson.jp/siphash/siphash.pdf) under a random key: nobody without the key
/// can make two events collide.
struct Digest {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const Digest&) const = default;
};

/// Who an event is (stream and event id) and what it says (every other field, in any order; XADD's options do not
/// count). Two events are the same event when both are equal.
struct EventIdentity {
  Digest who;
  Digest what;
  bool operator==(const EventIdentity&) const = default;
};

struct EventIdentityHash {
  size_t operator()(const EventIdentity& identity) const {
    return static_cast<size_t>(identity.who.low ^ (identity.what.low << 1));
  }
};

/// Makes identities under one random key. The key lives as long as the process: digests are never stored.
class IdentityHasher {
 public:
  using Key = std::array<uint8_t, 16>;

  IdentityHasher();
  /// With a given key, so that a simulation can be repeated.
  explicit IdentityHasher(const Key& key) : key_(key) {}

  /// `fields` is name, value, …; `event_id_at` the index of the event id's value in it.
  EventIdentity Of(std::string_view stream, std::span<const std::string_view> fields, size_t event_id_at) const;
  EventIdentity Of(const EventView& event) const { return Of(event.stream, event.fields, event.event_id_at); }

 private:
  Digest Hash(std::string_view one, std::string_view other) const;

  Key key_;
};

}  // namespace sprockets
