// How the files of a spill folder are named: spill-000007 and what follows. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sprockets {

inline constexpr std::string_view kSpillPrefix = "spill-";
inline constexpr std::string_view kActiveSuffix = ".active.sqlite";
inline constexpr std::string_view kSealedSuffix = ".sealed.sqlite";
inline constexpr std::string_view kDrainedSuffix = ".sqlite";

/// "spill-000007", without what follows.
std::string StemOf(int64_t number);
/// The number in a name that begins as ours do, whatever follows it; 0 if there is none.
int64_t NumberIn(std::string_view name);
/// The number of a file in exactly this form; 0 for every other name.
int64_t NumberOf(std::string_view name, std::string_view suffix);

}  // namespace sprockets
