// How the demonstration speaks: a line a step, what was done and what came of it.
#pragma once

#include <string>

namespace sprockets::harness {

/// `text` in the colour `code`, where a person looks.
std::string Coloured(const char* code, const std::string& text);
void TellTitle(const std::string& title);
void Tell(const std::string& what, const std::string& outcome);

}  // namespace sprockets::harness
