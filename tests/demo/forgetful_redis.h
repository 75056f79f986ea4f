// The third act: Redis keeps nothing on disk, forgets everything, and gets it back from the sidecar without a command.
#pragma once

#include <filesystem>

namespace sprockets::harness {

/// In a folder of its own, with a Redis and a sidecar of its own. Throws where a step does not end as it should.
void TellOfAForgetfulRedis(const std::filesystem::path& folder);

}  // namespace sprockets::harness
