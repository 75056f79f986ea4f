// One small story over a spill folder of its own: short lives of the sidecar and of the drain, some of which end badly,
// and the books of what was promised meanwhile.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/harness/ledger.h"
#include "tests/harness/redis_server.h"
#include "tests/harness/sidecar.h"
#include "tests/harness/temp_dir.h"

namespace sprockets::harness {

/// What became of the events of a story so far.
struct Books {
  std::vector<Event> acknowledged;
  std::vector<Event> waiting;  // neither acknowledged nor given up
  std::vector<Event> unclear;  // without an id, and without an answer: may be stored, must not be offered again
  std::vector<Event> refused;  // answered RETRY, and never offered again: must not be stored
  std::map<std::string, std::string> told = {};  // how those that are acknowledged were answered, by Ledger::KeyOf
};

enum class Ids { kOfTheClient, kOfTheSidecar };

/// How the sidecar answered one offer.
struct Answers {
  size_t landed = 0;
  size_t spilled = 0;
  size_t retry = 0;
  size_t unknown = 0;
  bool complete = false;  // it lived long enough to answer everything
};

/// So many streams take turns in the events of a trial.
inline constexpr size_t kTrialStreams = 2;

class Trial {
 public:
  struct Options {
    std::string sidecar_redis_url = {};       // default: of `redis`
    std::filesystem::path spill_dir = {};     // default: in the trial's own folder
    std::filesystem::path spill_source = {};  // the spill folder begins as a copy of this one
    Books books = {};                         // what was promised in that one
    std::vector<std::string> sidecar_arguments = {};
    bool ahead = false;  // --ack disk
  };

  /// `redis` is emptied, and runs; several trials may use it, one after the other.
  Trial(RedisServer& redis, Options options);

  /// New events, which wait. Without an id of the client's, a first offer is
  /// certainly the first one: where that cannot be stored, it is answered RETRY.
  void Intend(size_t events, Ids ids = Ids::kOfTheClient);
  /// Sends everything that waits, once, in one pipeline.
  Answers Offer();
  /// Only sends it; Collect reads the answers. For a test that does something in between.
  void Send();
  Answers Collect();
  /// Until it answers or has ended. True if it answers.
  bool StartSidecar(std::vector<std::string> prefix = {});
  /// SIGTERM, and waits for its end, however it ends.
  void EndSidecar();
  /// A drain; through the sidecar if one runs.
  DrainResult Drain(std::vector<std::string> prefix = {}, std::vector<std::string> more = {});

  /// Again and again, on a sidecar that is started if need be.
  void OfferUntilAcknowledged();
  /// With --ack disk: until Redis has what the journals hold.
  void AwaitLanded() const;
  /// With nothing in the way any more: what waits is offered until it is acknowledged, the sidecar ends, the drain
  /// finds and proves everything, and the streams hold exactly what was acknowledged. Checks all of it. Where nothing
  /// waits and no sidecar runs, the drain has to do alone. With --ack disk there is no drain: a sidecar, and a Redis
  /// that has lost everything.
  void Conclude();
  /// The last part of it: nothing waits in the folder, and the streams agree with the books.
  void Compare();
  /// The streams only.
  void CompareBooks();

  /// As after a failed sync.
  void MarkSuspect(int number) const;
  std::vector<std::string> SpillFiles(const std::filesystem::path& below = {}) const;
  std::filesystem::path report() const { return folder / "struck"; }
  /// The file that arms an injected fault, and makes it.
  std::filesystem::path trigger() const { return folder / "armed"; }
  void Arm() const;

  TempDir folder;
  RedisServer& redis;
  Sidecar sidecar;
  Books books;
  bool give_up_refused = false;  // what is answered RETRY is never offered again, so that it must not be stored

 private:
  void ConcludeAhead();
  void CompareFiles() const;

  const bool ahead_;
  std::optional<RespClient> client_;
};

}  // namespace sprockets::harness
