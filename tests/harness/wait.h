// Bounded waiting: no test sleeps for a guess, and none waits for ever.
#pragma once

#include <chrono>
#include <functional>

namespace sprockets::harness {

/// How long something that must happen may take. Generous, for a loaded machine under sanitizers: it costs time only in
/// a test that fails.
inline constexpr std::chrono::milliseconds kPatience{30'000};

/// Asks every few milliseconds until `condition` holds. False if it still did not when `limit` had passed.
bool WaitUntil(const std::function<bool()>& condition, std::chrono::milliseconds limit = kPatience);

/// The same, but throws "waited … for <what>", for conditions without which a test has no sense.
void Await(const char* what, const std::function<bool()>& condition, std::chrono::milliseconds limit = kPatience);

}  // namespace sprockets::harness
