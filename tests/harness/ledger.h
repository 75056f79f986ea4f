// The books of a test: what was meant to be stored, what was acknowledged, and whether the streams agree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "tests/harness/resp_client.h"

namespace sprockets::harness {

/// An event as a client sends it. Without an event id the sidecar makes one.
struct Event {
  std::string stream;
  std::string event_id;                   // the value of the field event_id in `fields`; empty: there is none
  std::vector<std::string> fields;        // name, value, …, with the event id in its place
  bool invalid = false;                   // must be answered INVALID
  std::vector<std::string> options = {};  // of XADD, before the id: MAXLEN and the like
};

Command XaddOf(const Event& event);

/// Events are told apart by stream and payload (all fields but event_id), so payloads must differ. Any thread.
class Ledger {
 public:
  struct Record {
    Event event;
    size_t client = 0;
    uint64_t number = 0;  // in the order of Intend
    bool acknowledged = false;
    bool refused = false;
    std::string reply = {};  // an id, or 0-<ticket>; empty: not known
    bool at_once = false;
    uint64_t acknowledged_before = 0;  // the events from this number on were sent when the reply had come
  };

  /// Before an event is sent for the first time. Clients are told apart by number; each calls this in the order in
  /// which it sends.
  void Intend(const Event& event, size_t client = 0);
  /// A reply promised that it is stored.
  void Acknowledge(const Event& event);
  /// The same, with what the reply said; `at_once`: it was the answer to the first offer, so that its place among the
  /// others is known.
  void Acknowledge(const Event& event, const std::string& reply, bool at_once);
  /// Every answer to it was RETRY or INVALID, and it will not be offered again: it must not be stored.
  void Refuse(const Event& event);

  struct Comparison {
    size_t acknowledged = 0;
    size_t stored = 0;                     // entries in the streams
    size_t lost = 0;                       // acknowledged and not there
    size_t doubled = 0;                    // entries beyond an event's first
    size_t refused = 0;                    // answered RETRY or INVALID, and given up
    size_t in_order = 0;                   // pairs of neighbours whose order was compared
    std::vector<std::string> differences;  // in words, the first ones only
    size_t difference_count = 0;

    bool ExactlyOnce() const { return difference_count == 0 && acknowledged == stored; }
    std::string ToString() const;
    void Differs(const std::string& how, const Event& event);
  };

  /// Reads every stream back, entry by entry, bytes included. What was acknowledged must be there once; what was meant
  /// but never acknowledged, at most once; and nothing else. What was acknowledged as an id stands under this id. For
  /// each client and stream, what went straight to Redis at the first offer stands in the order of sending. What was
  /// spilled stands in the order of its tickets, stream by stream; but only those that `never_sent` names are compared,
  /// since what was on its way to Redis before it was spilled may have had its place already.
  /// With a `led_suffix`, what `drain --rename` led into a stream's name with the suffix counts as that stream's.
  Comparison Compare(RespClient& redis, const std::set<std::string>& never_sent = {},
                     const std::string& led_suffix = {}) const;
  /// Of these events, by stream and payload: how many are not in the streams, or more than once. Whether or not they
  /// are in the books.
  static size_t NotExactlyOnce(RespClient& redis, const std::vector<Event>& events, const std::string& led_suffix);

  size_t acknowledged() const;
  /// All of them, by KeyOf, for books of another kind.
  std::map<std::string, Record> Records() const;
  /// By which an event is known.
  static std::string KeyOf(const std::string& stream, const std::vector<std::string>& fields);

 private:
  struct Place {
    std::string id;    // of its entry
    size_t index = 0;  // in its stream
  };
  /// Adds to `result` what stands in another order than it was sent in.
  void CompareOrder(const std::map<std::string, Place>& places, const std::set<std::string>& never_sent,
                    Comparison& result) const;

  mutable std::mutex mutex_;
  std::map<std::string, Record> records_;  // Guarded by mutex_
  uint64_t intended_ = 0;                  // Guarded by mutex_
};

struct StreamEntry {
  std::string id;
  std::vector<std::string> fields;
};
/// Every entry of a stream, oldest first.
std::vector<StreamEntry> ReadEntries(RespClient& redis, const std::string& stream);
/// The same: their fields only.
std::vector<std::vector<std::string>> ReadStream(RespClient& redis, const std::string& stream);

}  // namespace sprockets::harness
