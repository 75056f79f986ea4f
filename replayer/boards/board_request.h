// What a request for a page of a leaderboard asks for, from its address. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "replayer/schema_set/boards.h"
#include "shared/base/result.h"

namespace sprockets {

inline constexpr std::string_view kBoardsPath = "/v1/leaderboard/";

struct BoardRequest {
  const Leaderboard* board = nullptr;
  const Timeframe* timeframe = nullptr;
  std::optional<std::string> scope;    // a project; none: all of them
  std::optional<std::string> user_id;  // a page around this user; else from `offset` on
  int64_t offset = 0;
  int64_t page_size = 20;
};

/// `raw_path` begins with kBoardsPath and is, like `query`, as it was sent. kNotFound: there is no such board; kUsage:
/// a parameter is wrong.
Result<BoardRequest> ReadBoardRequest(std::span<const Leaderboard> boards, std::string_view raw_path,
                                      std::string_view query);

}  // namespace sprockets
