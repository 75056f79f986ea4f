// How the demonstration speaks: a line a step, what was done and what came of it; and what it counts.
#pragma once

#include <cstddef>
#include <string>

#include "tests/harness/redis_server.h"

namespace sprockets::harness {

/// `text` in the colour `code`, where a person looks.
std::string Coloured(const char* code, const std::string& text);
void TellTitle(const std::string& title);
void Tell(const std::string& what, const std::string& outcome);

size_t EntriesInStreams(const RedisServer& redis);

}  // namespace sprockets::harness
