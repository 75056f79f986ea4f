// Blows at Redis and at the network, which are the same for both soaks of events.
#pragma once

#include <filesystem>

#include "tests/faults/soak/plan.h"
#include "tests/harness/stack.h"
#include "tests/harness/temp_dir.h"

namespace sprockets::soak {

/// As whom the sidecar logs in, and by what.
inline constexpr char kSoaker[] = "soaker";
inline constexpr char kSecret[] = "a-secret-that-nobody-may-print";
std::filesystem::path PasswordFile(const harness::TempDir& folder);

/// What it breaks is well again when it returns. False: the blow is none of these.
bool StrikeRedisOrNetwork(harness::Stack& stack, const Event& event);

}  // namespace sprockets::soak
