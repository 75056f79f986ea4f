// SIGINT and SIGTERM ask a command to stop at the next safe point; a second one kills it, which is safe too. Any
// thread.
#pragma once

#include <cstdint>

namespace sprockets {

/// From here on the signals ask instead of killing.
void CatchStopSignals();
bool StopRequested();
/// Forgets a request; for tests.
void ClearStopRequest();
/// Sleeps, but not on after a request to stop. False: stop.
bool SleepUnlessStopped(int64_t ms);

}  // namespace sprockets
