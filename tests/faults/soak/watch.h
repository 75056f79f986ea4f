// What both soaks of events ask of a sidecar, whatever it does with events.
#pragma once

#include <string>

#include "tests/harness/stack.h"

namespace sprockets::soak {

/// It takes little memory, and keeps the password to itself.
void ExpectModest(harness::Stack& stack);
/// How sidecar and Redis are, after a failure.
std::string LastWordsOf(harness::Stack& stack);

}  // namespace sprockets::soak
