// The sidecar's admin verbs, asked over its socket. One thread.
#pragma once

#include <string>

#include "shared/base/result.h"

namespace sprockets {

/// SPROCKETS STATUS: a JSON document.
Result<std::string> AskSidecarForStatus(const std::string& socket_path);
/// SPROCKETS SEAL: seals the active spill file, so that it can be drained.
Status AskSidecarToSeal(const std::string& socket_path);

}  // namespace sprockets
