// Files of boards/, the keys of a moment, and what a request may ask for.
#include "replayer/boards/board_request.h"

#include <catch2/catch.hpp>

namespace sprockets {
namespace {

constexpr const char* kBoard =
    "-- key: board:all:{timeframe}\n"
    "-- scoped-key: board:p:{scope}:{timeframe}\n"
    "-- scoped-key: board:{scope}:{timeframe}\n"
    "-- timeframe: ever\n"
    "-- timeframe: weekly weekly:%G-W%V\n"
    "-- timeframe: daily daily:%Y-%m-%d\n"
    "--\n"
    "-- key: for people\n"
    "SELECT member, score FROM t;\n";

Leaderboard Parsed(const std::string& text) {
  const auto board = ParseLeaderboard("boards/public.sql", text);
  INFO((board.ok() ? "" : board.error().message));
  REQUIRE(board.ok());
  return board.value();
}

TEST_CASE("a file of boards/ names its keys, its timeframes and its query") {
  const Leaderboard board = Parsed(kBoard);
  CHECK(board.name == "public");
  CHECK(board.timeframes.size() == 3);
  CHECK(board.timeframes[0].text == "ever");
  CHECK(board.query.ends_with("FROM t"));
  CHECK_FALSE(board.ids_are_numbers);
}

TEST_CASE("a wrong file of boards/ is refused with its line") {
  const std::string frame = "-- timeframe: ever\n";
  const std::string key = "-- key: a:{timeframe}\n";
  const std::pair<std::string, const char*> wrong[] = {{key, "line 1"},
                                                       {frame, "line 1"},
                                                       {key + "-- key: a\n" + frame, "line 2"},
                                                       {key + "-- key: {scope}{timeframe}\n" + frame, "line 2"},
                                                       {key + frame + "-- scoped-key: a:{timeframe}\n", "line 3"},
                                                       {key + frame + "-- timeframe: two words more\n", "line 3"},
                                                       {key + frame + "-- ids: texts\n", "line 3"},
                                                       {key + frame + "-- people: are here\n", "line 3"},
                                                       {key + frame + "SELECT '" + std::string(1, '\0') + "'", "NUL"}};
  for (const auto& [text, where] : wrong) {
    const auto board = ParseLeaderboard("boards/b.sql", text);
    INFO(text);
    REQUIRE_FALSE(board.ok());
    CHECK(board.error().message.find(where) != std::string::npos);
  }
}

TEST_CASE("keys are those of the period in UTC, and what is put in is not looked at again") {
  const Leaderboard board = Parsed(kBoard);
  const int64_t last_instant = 1'735'689'599'999;  // 2024-12-31T23:59:59.999Z, in week 1 of 2025
  using Keys = std::vector<std::string>;
  CHECK(KeysOf(board, board.timeframes[0], {}, last_instant) == Keys{"board:all:ever"});
  CHECK(KeysOf(board, board.timeframes[1], {}, last_instant) == Keys{"board:all:weekly:2025-W01"});
  CHECK(KeysOf(board, board.timeframes[2], {}, last_instant) == Keys{"board:all:daily:2024-12-31"});
  CHECK(KeysOf(board, board.timeframes[2], {}, last_instant + 1) == Keys{"board:all:daily:2025-01-01"});
  CHECK(KeysOf(board, board.timeframes[0], "7", 0) == Keys{"board:p:7:ever", "board:7:ever"});
  CHECK(KeysOf(board, board.timeframes[0], "{timeframe}%Y", 0)[0] == "board:p:{timeframe}%Y:ever");
}

TEST_CASE("a request is read from its address, divided before it is decoded") {
  const std::vector<Leaderboard> boards{Parsed(kBoard)};
  const auto plain = ReadBoardRequest(boards, "/v1/leaderboard/public", "");
  REQUIRE(plain.ok());
  CHECK(plain.value().timeframe->name == "ever");
  CHECK(plain.value().page_size == 20);
  CHECK_FALSE(plain.value().scope);
  const auto full = ReadBoardRequest(boards, "/v1/leaderboard/%70ublic/a%2Fb%27%20%25",
                                     "timeframe=daily&page_size=1000&offset=1000000");
  REQUIRE(full.ok());
  CHECK(full.value().scope == "a/b' %");
  CHECK(full.value().timeframe->name == "daily");
  CHECK(full.value().offset == 1'000'000);
  CHECK(ReadBoardRequest(boards, "/v1/leaderboard/public", "user_id=o%27neil").value().user_id == "o'neil");
}

TEST_CASE("requests that cannot be meant are refused, each in words") {
  const std::vector<Leaderboard> boards{Parsed(kBoard)};
  for (const char* path : {"/v1/leaderboard/", "/v1/leaderboard/other", "/v1/leaderboard/public/a/b",
                           "/v1/leaderboard/public%00", "/v1/leaderboard/public%2Fa", "/v1/leaderboard/%zz"}) {
    INFO(path);
    const auto request = ReadBoardRequest(boards, path, "");
    REQUIRE_FALSE(request.ok());
    CHECK(request.error().code == ErrorCode::kNotFound);
  }
  const std::string long_id(257, 'a');
  for (const std::string& path : {std::string("/v1/leaderboard/public/"), std::string("/v1/leaderboard/public/a%00"),
                                  std::string("/v1/leaderboard/public/%ff"), std::string("/v1/leaderboard/public/%"),
                                  "/v1/leaderboard/public/" + long_id}) {
    INFO(path);
    const auto request = ReadBoardRequest(boards, path, "");
    REQUIRE_FALSE(request.ok());
    CHECK(request.error().code == ErrorCode::kUsage);
  }
  for (const char* query :
       {"timeframe=hourly", "timeframe=", "page_size=0", "page_size=1001", "page_size=1e2", "page_size=-1", "offset=-1",
        "offset=1000001", "offset=99999999999999999999", "user_id=", "user_id=%00", "user_id=1&offset=0", "limit=3",
        "offset=1&offset=1", "offset=%", "offset=+1"}) {
    INFO(query);
    const auto request = ReadBoardRequest(boards, "/v1/leaderboard/public", query);
    REQUIRE_FALSE(request.ok());
    CHECK(request.error().code == ErrorCode::kUsage);
  }
}

TEST_CASE("where ids are numbers, each has one spelling") {
  const std::vector<Leaderboard> boards{Parsed("-- ids: numbers\n" + std::string(kBoard))};
  const auto is_taken = [&](const std::string& id) {
    const bool as_user = ReadBoardRequest(boards, "/v1/leaderboard/public", "user_id=" + id).ok();
    CHECK(ReadBoardRequest(boards, "/v1/leaderboard/public/" + id, "").ok() == as_user);
    return as_user;
  };
  CHECK(is_taken("1"));
  CHECK(is_taken("18446744073709551615"));
  for (const char* id : {"0", "007", "18446744073709551616", "-1", "1.0", "a", "7%00", "7%20", "1;", "%2B1"}) {
    INFO(id);
    CHECK_FALSE(is_taken(id));
  }
}

}  // namespace
}  // namespace sprockets
