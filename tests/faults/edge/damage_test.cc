// Bits that flip and files that are cut short, in each kind of file, at every so many bytes. Either nothing is missing,
// or the file is named, set aside and passed over, the others are drained, and salvage takes what is good. The sidecar
// always starts.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <set>
#include <string>

#include <catch2/catch.hpp>

#include "tests/faults/edge/sweep.h"

namespace sprockets::harness {
namespace {

// Primes, so that every kind of place in a page is struck somewhere.
constexpr uintmax_t kFlipEvery = 3061;
constexpr uintmax_t kFlipEveryLong = 1021;  // with SPROCKETS_LONG_TESTS

using Damage = std::function<void(const std::filesystem::path&)>;

Damage FlipBit(uintmax_t at) {
  return [at](const std::filesystem::path& path) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char flipped = static_cast<char>(file.get() ^ (1 << at % 8));
    file.seekp(static_cast<std::streamoff>(at));
    file.put(flipped);
  };
}

Damage CutTo(uintmax_t bytes) {
  return [bytes](const std::filesystem::path& path) { std::filesystem::resize_file(path, bytes); };
}

using NamedDamage = std::vector<std::pair<std::string, Damage>>;

NamedDamage FlippedBits(uintmax_t bytes) {
  NamedDamage all;
  const uintmax_t every = std::getenv("SPROCKETS_LONG_TESTS") == nullptr ? kFlipEvery : kFlipEveryLong;
  for (uintmax_t at = 0; at < bytes; at += every) all.emplace_back("a bit at " + std::to_string(at), FlipBit(at));
  return all;
}

NamedDamage Cuts(uintmax_t bytes) {
  NamedDamage all;
  for (const uintmax_t left : {uintmax_t{0}, uintmax_t{50}, uintmax_t{4096}, bytes / 2, bytes - 1})
    all.emplace_back("cut to " + std::to_string(left), CutTo(std::min(left, bytes)));
  return all;
}

/// A folder with one file of each kind; nothing in it is in doubt.
struct OldFolder {
  OldFolder()
      : scene(sweep, [this](Trial& trial) {
          Spill(trial, 4, &in_drained);
          trial.sidecar.Call({"SPROCKETS", "SEAL"});
          REQUIRE(trial.Drain().exit_code == 0);
          Spill(trial, 4, &in_sealed);
          trial.sidecar.Call({"SPROCKETS", "SEAL"});
          for (int commit = 0; commit < 3; ++commit) Spill(trial, 2, &in_active);
          Spill(trial, 1, &in_last_commit);
          trial.sidecar.Kill9();
        }) {}

  static void Spill(Trial& trial, size_t events, std::vector<Event>* where) {
    const size_t before = trial.books.acknowledged.size();
    trial.Intend(events);
    trial.Offer();
    REQUIRE(trial.books.waiting.empty());
    where->insert(where->end(), trial.books.acknowledged.begin() + static_cast<ptrdiff_t>(before),
                  trial.books.acknowledged.end());
  }

  Sweep sweep;
  std::vector<Event> in_drained;
  std::vector<Event> in_sealed;
  std::vector<Event> in_active;
  std::vector<Event> in_last_commit;
  Scene scene;
};

/// Redis has what was drained before.
void PutIntoRedis(Trial& trial, const std::vector<Event>& events) {
  for (const Event& event : events) trial.redis.Call(XaddOf(event));
}

/// The events may be missing, but not twice there.
void MayBeLost(Trial& trial, const std::vector<Event>& events) {
  const auto is_one = [&](const Event& event) {
    return std::any_of(events.begin(), events.end(), [&](const Event& one) { return one.fields == event.fields; });
  };
  const auto begin = std::stable_partition(trial.books.acknowledged.begin(), trial.books.acknowledged.end(),
                                           [&](const Event& event) { return !is_one(event); });
  std::move(begin, trial.books.acknowledged.end(), std::back_inserter(trial.books.unclear));
  trial.books.acknowledged.erase(begin, trial.books.acknowledged.end());
}

size_t MissingOf(const Trial& trial, const std::vector<Event>& events) {
  RespClient redis = trial.redis.Connect();
  std::set<std::vector<std::string>> stored;
  for (const char* stream : {"bounty-stream", "contributions"}) {
    for (std::vector<std::string>& fields : ReadStream(redis, stream)) stored.insert(std::move(fields));
  }
  return static_cast<size_t>(
      std::count_if(events.begin(), events.end(), [&](const Event& event) { return !stored.contains(event.fields); }));
}

bool IsQuarantined(const Trial& trial) {
  const auto files = trial.SpillFiles();
  return std::any_of(files.begin(), files.end(),
                     [](const std::string& file) { return file.ends_with(".quarantined"); });
}

/// The sidecar starts and ends, the drain takes what it trusts, salvage the rest.
void StartDrainSalvage(Trial& trial, const std::string& file, const std::vector<Event>& in_file) {
  REQUIRE(trial.StartSidecar());
  trial.EndSidecar();
  const std::string log = trial.sidecar.process().Stderr();
  const DrainResult drained = trial.Drain();
  INFO(log << drained.err << drained.summary);
  if (!IsQuarantined(trial)) {
    REQUIRE(drained.exit_code == 0);
    return trial.Compare();
  }
  CHECK(drained.exit_code == 1);
  CHECK_THAT(log + drained.err, Catch::Contains(file));
  MayBeLost(trial, in_file);
  trial.CompareBooks();
  const DrainResult salvaged = trial.Drain({}, {"--salvage", file});
  INFO(salvaged.err << salvaged.summary);
  trial.CompareBooks();
  // What is out of reach of salvage is said to be.
  if (salvaged.exit_code == 0) CHECK(MissingOf(trial, in_file) == 0);
}

void DamageEach(OldFolder& old, const std::string& file, NamedDamage kind(uintmax_t bytes),
                const std::function<void(Trial&)>& check) {
  const uintmax_t bytes = std::filesystem::file_size(old.scene.Options().spill_source / file);
  for (const auto& [name, damage] : kind(bytes)) {
    Trial trial(old.sweep.redis(), old.scene.Options());
    PutIntoRedis(trial, old.in_drained);
    INFO(file << ": " << name);
    damage(trial.sidecar.spill_dir() / file);
    check(trial);
  }
}

TEST_CASE("damage to a sealed file is found, and costs no event of another file", "[damage]") {
  OldFolder old;
  const std::string file = "spill-000002.sealed.sqlite";
  for (const auto& kind : {FlippedBits, Cuts})
    DamageEach(old, file, kind, [&](Trial& trial) { StartDrainSalvage(trial, file, old.in_sealed); });
}

TEST_CASE("damage to an active file's WAL is found, but for its last commit", "[damage]") {
  OldFolder old;
  DamageEach(old, "spill-000003.active.sqlite-wal", FlippedBits, [&](Trial& trial) {
    MayBeLost(trial, old.in_last_commit);
    StartDrainSalvage(trial, "spill-000003.active.sqlite", old.in_active);
  });
}

// A WAL that ends early looks like one that was killed earlier: SQLite keeps its length nowhere else.
TEST_CASE("an active file's WAL that is cut short costs no event of another file", "[damage]") {
  OldFolder old;
  DamageEach(old, "spill-000003.active.sqlite-wal", Cuts, [&](Trial& trial) {
    MayBeLost(trial, old.in_last_commit);
    MayBeLost(trial, old.in_active);
    StartDrainSalvage(trial, "spill-000003.active.sqlite", old.in_active);
  });
}

TEST_CASE("damage to an active file is found", "[damage]") {
  OldFolder old;
  const std::string file = "spill-000003.active.sqlite";
  for (const auto& kind : {FlippedBits, Cuts}) {
    DamageEach(old, file, kind, [&](Trial& trial) {
      MayBeLost(trial, old.in_last_commit);
      StartDrainSalvage(trial, file, old.in_active);
    });
  }
}

TEST_CASE("damage to a drained file keeps nothing from being drained", "[damage]") {
  OldFolder old;
  for (const auto& kind : {FlippedBits, Cuts}) {
    DamageEach(old, "drained/spill-000001.sqlite", kind, [](Trial& trial) {
      REQUIRE(trial.StartSidecar());
      trial.EndSidecar();
      const DrainResult drained = trial.Drain();
      INFO(drained.err << drained.summary);
      trial.CompareBooks();
    });
  }
}

TEST_CASE("damage to the state file costs no event, and no ticket is given twice", "[damage]") {
  OldFolder old;
  const std::string file = GENERATE("state.sqlite", "state.sqlite-wal");
  const uintmax_t bytes = std::filesystem::file_size(old.scene.Options().spill_source / file);
  // Few places: each list of connections that is lost makes the drain wait for five seconds.
  for (const uintmax_t at : {uintmax_t{0}, uintmax_t{60}, uintmax_t{4100}, bytes - 1}) {
    for (const Damage& damage : {FlipBit(at), CutTo(at)}) {
      Trial trial(old.sweep.redis(), old.scene.Options());
      PutIntoRedis(trial, old.in_drained);
      INFO(file << " at " << at);
      damage(trial.sidecar.spill_dir() / file);
      const bool started = trial.StartSidecar();
      INFO(trial.sidecar.process().Stderr());
      if (!started) {
        // A version that no bit of ours ever had may be a newer program's: that is for people to decide.
        CHECK_THAT(trial.sidecar.process().Stderr(), Catch::Contains("newer version") && Catch::Contains(file));
        continue;
      }
      trial.Intend(3);
      trial.OfferUntilAcknowledged();
      trial.EndSidecar();
      // Without the list of connections absence is no proof; it says so, and sends.
      const DrainResult drained = trial.Drain();
      INFO(drained.err << drained.summary);
      CHECK((drained.exit_code == 0 || (drained.exit_code == 1 && drained.Count("unproven") > 0)));
      trial.Compare();
    }
  }
}

}  // namespace
}  // namespace sprockets::harness
