// What a service of the replayer tells over HTTP, as it was at one moment: made now and then by whoever knows it, and
// never changed again, so any thread may read it. And what follows from it. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "shared/base/moment.h"
#include "shared/http/metrics.h"

namespace sprockets {

/// A server that the service needs, as somebody who asks it now and then sees it.
struct StoreFigures {
  std::string name;       // "redis"
  bool is_asked = false;  // it has answered, or was found to be away, at least once
  bool answers = false;
  bool refuses = false;  // it is there and says no, to the login for example
  std::string why;       // it does not answer
  WallTime changed;      // when it was last lost or found
  int64_t asked_ms = 0;  // when that was last known, by the steady clock
};

/// Why the service is not ready.
struct ServiceReason {
  std::string code;  // stable: "stream-stopped"
  std::string text;
  std::string stream = {};  // that it is about; empty: about all of it
};

struct ServiceReport {
  std::string service;  // "archive"
  WallTime started;
  int64_t steady_ms = 0;  // when it was made, by the steady clock
  std::vector<StoreFigures> stores;
  std::vector<ServiceReason> reasons;  // beside those that the stores give
  std::function<void(Metrics*)> add_figures;
  nlohmann::ordered_json details = nlohmann::ordered_json::object();  // for /status.json
};

/// So long may nobody have made a report, and a server not have answered.
inline constexpr int64_t kServicePatienceMs = 10'000;

struct ServiceVerdict {
  bool alive = false;  // the program moves
  bool ready = false;  // there is no reason
  std::string headline;
  std::vector<ServiceReason> reasons;
};

/// `steady_ms`: now, on the steady clock.
ServiceVerdict JudgeService(const ServiceReport& report, int64_t steady_ms);

// The three texts, each with its line break at the end.
std::string VerdictText(const ServiceVerdict& verdict);
std::string StatusText(const ServiceReport& report, int64_t steady_ms);
std::string FiguresText(const ServiceReport& report, int64_t steady_ms);

}  // namespace sprockets
