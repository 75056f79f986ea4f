// What the sources of SqliteFile share: its state, and what its parts ask of each other. For them alone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/spill/catalogue.h"
#include "shared/spill/layout.h"
#include "shared/spill/sqlite.h"
#include "shared/spill/sqlite_file.h"

namespace sprockets {

struct StreamTableInfo {
  std::string name;   // of the stream
  std::string table;  // quoted
  std::optional<FieldLayout> layout;
  uint32_t names_checksum = 0;  // of the layout
};

struct SqliteFile::Impl {
  /// What is wrong with a row; nothing if it is good.
  using Defect = std::optional<std::string>;

  Status ReadCatalogue();
  Status ReadHead();
  Status ReadConnections();
  Result<const StreamTableInfo*> TableOf(int64_t stream_id);
  Result<StreamTableInfo> ReadTable(int64_t stream_id);
  Result<std::vector<std::string>> ColumnsOf(const std::string& table);
  Result<StreamTotals> StoredTotals(const std::string& table, int64_t after = 0);
  Result<int64_t> ListedMoves(int64_t stream_id, int64_t after = 0);
  Status CompareMoves();
  Status CompareMoves(int64_t stream_id);
  static Error MovesDiffer(std::string_view stream, int64_t moved, int64_t listed);
  Result<std::vector<SpilledStream>> ReadStreams(bool counted);
  Result<std::vector<SealedStream>> NotedTotals();
  Status CompareTotals(bool as_read);
  Status Compare(std::string_view stream, const StreamTotals& expected, const StreamTotals& found) const;
  Result<SpilledStream> ReadStream(const Statement& row, bool counted);
  Status ReadLastTicket(SpilledStream* stream);
  Status CountRows(SpilledStream* stream);
  Defect ReadRow(const Statement& row, const StreamTableInfo& table, SpilledEvent* spilled) const;
  Defect ReadFields(const Statement& row, const StreamTableInfo& table, SpilledEvent* spilled) const;
  Defect ReadName(const Statement& row, SpilledEvent* spilled) const;
  Defect ReadDoubt(const Statement& row, SpilledEvent* spilled) const;
  Status VisitRows(const SpilledStream& stream, std::string_view which, int64_t after, int64_t up_to,
                   const std::function<bool(const SpilledEvent&)>& visitor,
                   const std::function<void(int64_t, std::string_view)>& on_bad_row);
  Status UpdateCursor(int64_t stream_id, const Cursor& cursor);
  Status InOneCommit(const std::function<Status()>& write);
  Status ReadLedTo();
  bool IsKept(int64_t stream_id, const LedTo& place);
  Status InsertLedTo(int64_t stream_id, const LedTo& place);

  SpillFileInfo info;
  std::optional<Database> database;  // nothing once it is closed
  std::string producer;
  std::string event_id_field;
  int64_t begun_ms = 0;
  std::optional<int> redis_database;
  std::string redis_server;
  bool connections_lost = false;
  bool names_entries = false;  // a journal
  bool sealed = false;
  int64_t sealed_streams = 0;
  int64_t drained_ms = 0;
  std::map<int64_t, ConnectionId> connections;   // by row
  std::map<int64_t, StreamTableInfo> tables;     // by stream, as they are asked for
  std::map<int64_t, std::vector<LedTo>> led_to;  // by stream
  struct Reading {
    StreamTotals expected;
    StreamTotals read;  // from the first row on, without a gap
  };
  std::map<int64_t, Reading> readings;  // by stream: what VerifyAsRead left to be compared
};

}  // namespace sprockets
