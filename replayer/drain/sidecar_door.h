// The sidecar's admin verbs, asked over its socket. One thread.
#pragma once

#include <string>

#include "replayer/redis/wire.h"
#include "shared/base/result.h"

namespace sprockets {

/// SPROCKETS STATUS: a JSON document.
Result<std::string> AskSidecarForStatus(const std::string& socket_path, const Dial& dial);
/// SPROCKETS SEAL: seals the active spill file, so that it can be drained.
Status AskSidecarToSeal(const std::string& socket_path, const Dial& dial);

}  // namespace sprockets
