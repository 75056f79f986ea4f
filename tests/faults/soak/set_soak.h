// The soak of schema sets: writers of both sides, a follower, rebuilds, verifies and repairs at once, under faults that
// a seed draws. Whoever says verified is asked whether that is so: what was damaged before must have been named, and
// after each round Redis must equal what PostgreSQL says, read by other means.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "tests/harness/process.h"
#include "tests/harness/set_stage.h"

namespace sprockets::soak {

class SetSoak {
 public:
  explicit SetSoak(uint64_t seed);

  /// Throws in words where a promise is broken.
  void RunRound();
  /// What the rounds until now have shown, in a line.
  std::string Progress() const { return "both sides are the same, and verify was right each time"; }
  /// How often each thing happened, as lines of a table.
  std::string Table() const;
  /// The follower's, after a failure.
  std::string LastWords() const;

 private:
  using Members = std::map<std::string, std::string>;

  void MakeSet() const;
  void Strike();
  void Follow();
  void EndFollower(bool kill);
  void VerifyDamage(bool beside_writers);
  std::string Damage();
  void AwaitFollower();
  void Repair();
  void Compare() const;
  Members InSql(const std::string& query) const;
  Members InRedis(const std::string& key) const;
  int Draw(int least, int most);

  std::mt19937_64 random_;
  harness::SetStage stage_;
  std::unique_ptr<harness::Process> follower_;
  std::map<std::string, int> times_;
  int damages_ = 0;
};

}  // namespace sprockets::soak
