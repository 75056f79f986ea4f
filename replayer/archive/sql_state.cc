#include "replayer/archive/sql_state.h"

#include <algorithm>
#include <array>

namespace sprockets {
namespace {

constexpr std::array<std::string_view, 5> kOfEntries{"22", "23", "P0", "21", "54"};
constexpr std::array<std::string_view, 7> kPassing{"08", "40", "53", "57", "58", "55P03", "25006"};

}  // namespace

SqlFault FaultOf(const Error& error) {
  const auto begins = [&](std::string_view prefix) { return error.sqlstate.starts_with(prefix); };
  if (error.sqlstate.empty()) {
    const bool passes = error.code == ErrorCode::kUnreachable || error.code == ErrorCode::kBusy;
    return passes ? SqlFault::kPasses : SqlFault::kSet;
  }
  if (std::any_of(kOfEntries.begin(), kOfEntries.end(), begins)) return SqlFault::kEntry;
  if (std::any_of(kPassing.begin(), kPassing.end(), begins)) return SqlFault::kPasses;
  return SqlFault::kSet;
}

}  // namespace sprockets
