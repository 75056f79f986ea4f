// The set rindexer: events of a chain as rows, over tables of ours and of the consumer that was there before.
#include <fstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/integration/handler_stage.h"

namespace sprockets::harness {
namespace {

constexpr const char* kChainStream = "rindexer_producer";
constexpr const char* kTerm = "0101010101010101010101010101010101010101010101010101010101010101";
constexpr const char* kUint256 = "115792089237316195423570985008687907853269984665640564039457584007913129639935";

struct Rindexer : HandlerStage {
  Rindexer() : HandlerStage("rindexer") {}

  void Send(const nlohmann::json& message) const {
    redis.Call(
        {"XADD", kChainStream, "*", "payload", message.is_string() ? message.get<std::string>() : message.dump()});
  }
  void Take() const { HandlerStage::Take(kChainStream, "10_events.sql"); }
  std::string Dead(const std::string& column = "count(*)") const {
    return Value("SELECT " + column + " FROM sprockets.dead_letters");
  }
};

nlohmann::json About(int log_index) {
  return {{"network", "base"},
          {"address", "0x1a"},
          {"block_hash", "0xb1"},
          {"block_number", 100},
          {"block_timestamp", "0x68b18674"},
          {"transaction_hash", "0xt1"},
          {"log_index", "0x" + std::to_string(log_index)},
          {"transaction_index", "0"}};
}

nlohmann::json Deposit(int log_index) {
  return {{"assets", kUint256}, {"assetsAfterFees", "1"},
          {"curveId", "1"},     {"receiver", "0xc"},
          {"sender", "0xd"},    {"shares", "10"},
          {"termId", kTerm},    {"totalShares", "20"},
          {"vaultType", 0},     {"transaction_information", About(log_index)}};
}

nlohmann::json Message(const std::string& name, const nlohmann::json& data) {
  return {{"event_name", name},
          {"event_data", data},
          {"event_signature_hash", "0x1"},
          {"network", "base"},
          {"message_id", "m"}};
}

nlohmann::json Changed(nlohmann::json item, const std::string& name, const nlohmann::json& value) {
  item["transaction_information"][name] = value;
  return item;
}

TEST_CASE("rindexer: the samples become rows, and what is no message a dead letter with its reason", "[rindexer]") {
  const Rindexer stage;
  stage.Send(Message("AtomCreated", nlohmann::json::array({{{"atomData", "0x68656c6c6f"},
                                                            {"atomWallet", "0xa"},
                                                            {"creator", "0xb"},
                                                            {"termId", kTerm},
                                                            {"transaction_information", About(1)}},
                                                           {{"atomData", "ff00fe"},
                                                            {"atomWallet", "0xa"},
                                                            {"creator", "0xb"},
                                                            {"termId", kTerm},
                                                            {"transaction_information", About(2)}}})));
  stage.Send(Message("Deposited", Deposit(3)));
  stage.Send(Message(
      "Transfer", nlohmann::json::array({{{"value", 18446744073709551615U}, {"transaction_information", About(4)}}})));
  stage.Send(Message("Deposited", nlohmann::json::array()));
  stage.Send("{not json");
  stage.redis.Call({"XADD", kChainStream, "*", "other", "x"});
  stage.redis.Call({"XADD", kChainStream, "*", "payload", std::string("\xff\0", 2)});
  stage.redis.Call({"XADD", kChainStream, "*", "event_data", Message("Deposited", Deposit(5)).dump()});
  stage.redis.Call({"XADD", kChainStream, "*", "data", Message("Deposited", Deposit(6)).dump()});
  stage.Take();
  CHECK(stage.Value("SELECT count(*) FROM sprockets.log") == "9");
  CHECK(stage.Value(
            "SELECT atom_data || '|' || (raw_data IS NULL) FROM sprockets.atom_created_events WHERE log_index = 1") ==
        "hello|true");
  CHECK(stage.Value("SELECT raw_data FROM sprockets.atom_created_events WHERE log_index = 2 AND atom_data IS NULL") ==
        "\\xff00fe");
  CHECK(stage.Column("SELECT log_index FROM sprockets.deposited_events ORDER BY 1") ==
        HandlerStage::Fields{"3", "5", "6"});
  CHECK(stage.Value("SELECT assets FROM sprockets.deposited_events WHERE log_index = 3") == kUint256);
  CHECK(stage.Value("SELECT block_timestamp AT TIME ZONE 'UTC' FROM sprockets.deposited_events LIMIT 1") ==
        "2025-08-29 10:52:36");
  CHECK(stage.Value("SELECT event_name || ' ' || (event_data ->> 'value') FROM sprockets.generic_events") ==
        "Transfer 18446744073709551615");
  CHECK(stage.Column("SELECT error FROM sprockets.dead_letters ORDER BY number") ==
        HandlerStage::Fields{"invalid input syntax for type json",
                             "the entry has none of the fields payload, event_data and data as text",
                             "the entry has none of the fields payload, event_data and data as text"});
  CHECK(stage.Value("SELECT encode(raw[2], 'hex') FROM sprockets.dead_letters ORDER BY number DESC LIMIT 1") == "ff00");
  // Nothing new, nothing changes.
  stage.Take();
  CHECK(stage.Dead() == "3");
  CHECK(stage.Run("rebuild").exit_code == 0);
  CHECK(stage.Run("verify").exit_code == 0);
}

TEST_CASE("rindexer: numbers are read as each producer writes them, and none passes a double", "[rindexer]") {
  const Rindexer stage;
  const auto row = [&](const std::string& name, const nlohmann::json& value) {
    stage.Sql("TRUNCATE sprockets.deposited_events, sprockets.dead_letters");
    stage.Send(Message("Deposited", nlohmann::json::array({Changed(Deposit(1), name, value)})));
    stage.Take();
    const std::string column = name == "block_timestamp" ? "extract(epoch FROM block_timestamp)::bigint" : name;
    return stage.Value("SELECT coalesce((SELECT " + column +
                       "::text FROM sprockets.deposited_events), '') || "
                       "coalesce((SELECT string_agg(error, '') FROM sprockets.dead_letters), '')");
  };
  for (const nlohmann::json& value :
       {nlohmann::json(102), nlohmann::json("102"), nlohmann::json("0x66"), nlohmann::json("0X66")})
    CHECK(row("block_number", value) == "102");
  CHECK(row("block_number", 9223372036854775807) == "9223372036854775807");
  CHECK(row("block_number", "0x7fffffffffffffff") == "9223372036854775807");
  CHECK(row("block_number", "0x8000000000000000") == "block_number is 9223372036854775808, which is beyond 2^63 - 1");
  CHECK(row("block_number", 18446744073709551615U) == "block_number is 18446744073709551615, which is beyond 2^63 - 1");
  for (const nlohmann::json& value :
       {nlohmann::json("1x"), nlohmann::json(""), nlohmann::json("-1"), nlohmann::json(-1), nlohmann::json(1.5),
        nlohmann::json(nullptr), nlohmann::json(true), nlohmann::json("66f")}) {
    INFO(value);
    CHECK(row("block_number", value) == "block_number is " + value.dump() + ", and should be a whole number");
  }
  CHECK(row("log_index", 33) == "33");
  CHECK(row("log_index", "0x21") == "33");
  CHECK(row("log_index", "33") == "33");
  CHECK(row("block_timestamp", nullptr).empty());
  CHECK(row("block_timestamp", "0x68b18674") == "1756464756");
  CHECK(row("block_timestamp", 1756464756) == "1756464756");
  stage.Sql("UPDATE sprockets.rindexer_settings SET unprefixed_log_index = 'hex'");
  CHECK(row("log_index", "33") == "51");
  CHECK(row("log_index", "0x21") == "33");
  CHECK(row("log_index", 33) == "33");
  CHECK(row("block_number", "33") == "33");
}

TEST_CASE("rindexer: a bad item does not take the good ones of its array with it", "[rindexer]") {
  const Rindexer stage;
  nlohmann::json without_sender = Deposit(2);
  without_sender.erase("sender");
  nlohmann::json without_information = Deposit(4);
  without_information.erase("transaction_information");
  stage.Send(
      Message("Deposited", nlohmann::json::array({Deposit(1), without_sender, Deposit(3), without_information, "text",
                                                  Changed(Deposit(6), "log_index", "none"), Deposit(7)})));
  stage.Take();
  CHECK(stage.Column("SELECT log_index FROM sprockets.deposited_events ORDER BY 1") ==
        HandlerStage::Fields{"1", "3", "7"});
  CHECK(stage.Column("SELECT sqlstate FROM sprockets.dead_letters ORDER BY number") ==
        HandlerStage::Fields{"22023", "22023", "22023", "23502"});
  // What was buried is the item, as an entry that can be sent once more.
  const nlohmann::json buried = nlohmann::json::parse(
      stage.Value("SELECT convert_from(raw[2], 'UTF8') FROM sprockets.dead_letters ORDER BY number DESC LIMIT 1"));
  CHECK(buried == nlohmann::json{{"event_name", "Deposited"},
                                 {"network", "base"},
                                 {"event_data", nlohmann::json::array({without_sender})}});
  // The column may be left out from now on.
  stage.Sql("ALTER TABLE sprockets.deposited_events ALTER sender DROP NOT NULL");
  CHECK(stage.Value("SELECT sprockets.rindexer_retry()") == "1");
  CHECK(stage.Value("SELECT count(*) FROM sprockets.deposited_events") == "4");
  CHECK(stage.Value("SELECT count(*) FROM sprockets.dead_letters WHERE retried_at IS NULL") == "3");
  CHECK(stage.Value("SELECT sprockets.rindexer_retry()") == "0");
}

TEST_CASE("rindexer: half of everything is poison, and the other half arrives", "[rindexer]") {
  const Rindexer stage;
  for (int i = 0; i < 400; ++i) {
    nlohmann::json item = Changed(Deposit(1), "log_index", i);
    if (i % 2 == 0) item["vaultType"] = i % 4 == 0 ? nlohmann::json("many") : nlohmann::json(70'000);
    stage.Send(Message("Deposited", nlohmann::json::array({item})));
  }
  stage.Take();
  CHECK(stage.Value("SELECT count(*) FROM sprockets.deposited_events") == "200");
  CHECK(stage.Dead() == "200");
}

TEST_CASE("rindexer: the same place on two networks is two events, and a replaced block replaces its rows",
          "[rindexer]") {
  const Rindexer stage;
  stage.Send(Message("Deposited", nlohmann::json::array({Deposit(1), Changed(Deposit(1), "network", "other")})));
  stage.Take();
  CHECK(stage.Value("SELECT count(*) FROM sprockets.deposited_events") == "2");
  stage.Send(Message("Deposited",
                     nlohmann::json::array({Changed(Changed(Deposit(1), "block_hash", "0xb2"), "block_number", 101)})));
  stage.Take();
  CHECK(stage.Value(
            "SELECT string_agg(block_number || block_hash, ' ' ORDER BY network) FROM sprockets.deposited_events") ==
        "1010xb2 1000xb1");
  CHECK(stage.Dead() == "0");
}

// ---- Over the tables of the consumer that was there before ----

TEST_CASE("rindexer: over the consumer's own tables, with their keys, columns and triggers", "[rindexer]") {
  const Rindexer stage;
  stage.postgres.ExecuteFile(stage.database, stage.set / "demo/tables.sql");
  const nlohmann::json triple{{"creator", "0xb"},  {"objectId", "02"}, {"predicateId", "03"},
                              {"subjectId", "04"}, {"termId", kTerm},  {"transaction_information", About(1)}};
  stage.Send(Message("TripleCreated", nlohmann::json::array({triple})));
  const nlohmann::json atom{{"atomData", "68656c6c6f"}, {"atomWallet", "0xa"}, {"creator", "0xb"}, {"termId", kTerm}};
  nlohmann::json first = atom;
  first["transaction_information"] = About(2);
  nlohmann::json without_time = atom;
  without_time["transaction_information"] = Changed(Deposit(3), "block_timestamp", nullptr)["transaction_information"];
  nlohmann::json bytes = atom;
  bytes["transaction_information"] = About(4);
  bytes["atomData"] = "0x00ff";
  stage.Send(Message("AtomCreated", nlohmann::json::array({first, without_time, bytes})));
  stage.Send(Message("Deposited", nlohmann::json::array({Deposit(5), Changed(Deposit(5), "network", "other")})));
  stage.Take();
  // keccak256(keccak256("COUNTER_SALT") || termId), as the contract has it.
  CHECK(stage.Value("SELECT counter_term_id FROM public.triple_created_events") ==
        "0x1887ea9b6457a7debbb021cf6431ed4b7b0bfc945c86e07cba4922f86ce0eff7");
  CHECK(stage.Column("SELECT log_index FROM public.atom_created_events ORDER BY 1") == HandlerStage::Fields{"2", "4"});
  CHECK(stage.Value("SELECT raw_data FROM public.atom_created_events WHERE log_index = 4") == "\\x00ff");
  CHECK(stage.Value("SELECT count(*) FROM public.atom") == "1");
  CHECK(stage.Value("SELECT network FROM public.deposited_events") == "base");
  const auto dead = stage.Column("SELECT error FROM sprockets.dead_letters ORDER BY number");
  REQUIRE(dead.size() == 2);
  CHECK(dead[0].find("null value in column \"created_at\" of relation \"atom\"") == 0);  // what their trigger demands
  CHECK(dead[1].find("another network has a row with the key of this one of other") != std::string::npos);
  for (const char* table : {"atom_created_events", "triple_created_events", "deposited_events"})
    CHECK(stage.Value("SELECT count(*) FROM sprockets." + std::string(table)) == "0");

  stage.Sql("UPDATE sprockets.rindexer_settings SET hex_prefix = 'added'");
  stage.Send(Message("Redeemed", nlohmann::json::array({[] {
                       nlohmann::json item = Deposit(6);
                       item["fees"] = "1";
                       return item;
                     }()})));
  stage.Take();
  CHECK(stage.Value("SELECT term_id || ' ' || curve_id FROM public.redeemed_events") ==
        "0x" + std::string(kTerm) + " 1");
}

TEST_CASE("rindexer: over the first tables of the consumer, bytes that are no text are kept as a dead letter",
          "[rindexer]") {
  const Rindexer stage;
  stage.Sql(
      "CREATE TABLE atom_created_events (transaction_hash text, log_index bigint, atom_data text NOT NULL, atom_wallet "
      "text, "
      "creator text, term_id text, address text, block_hash text, block_number bigint, network text, transaction_index "
      "bigint, "
      "block_timestamp timestamptz, PRIMARY KEY (transaction_hash, log_index))");
  nlohmann::json item{{"atomData", "ff"},
                      {"atomWallet", "0xa"},
                      {"creator", "0xb"},
                      {"termId", kTerm},
                      {"transaction_information", About(1)}};
  const nlohmann::json bad = item;
  item["atomData"] = "68656c6c6f";
  stage.Send(Message("AtomCreated", nlohmann::json::array({bad, Changed(item, "log_index", 2)})));
  stage.Take();
  CHECK(stage.Value("SELECT string_agg(atom_data, '') FROM public.atom_created_events") == "hello");
  CHECK(stage.Dead("string_agg(error, '')").find("has no column raw_data for its bytes") != std::string::npos);
}

TEST_CASE("rindexer: a column that is gone is no fault of the events", "[rindexer]") {
  const Rindexer stage;
  stage.postgres.ExecuteFile(stage.database, stage.set / "demo/tables.sql");
  stage.Send(Message("Deposited", nlohmann::json::array({Deposit(1)})));
  stage.Sql("ALTER TABLE public.deposited_events DROP COLUMN assets");
  CHECK_THROWS_WITH(stage.Take(), Catch::Contains("deposited_events has no column assets"));
  CHECK(stage.Dead() == "0");
  CHECK(stage.Value("SELECT count(*) FROM sprockets.log") == "0");
}

// ---- By the archive ----

TEST_CASE("rindexer: archive stores what it can, buries the rest, and stops at a table that was altered",
          "[rindexer]") {
  const Rindexer stage;
  for (int i = 0; i < 100; ++i) {
    stage.Send(i % 10 == 3 ? nlohmann::json("{not json")
                           : Message("Deposited", nlohmann::json::array({Changed(Deposit(1), "log_index", i)})));
  }
  const CommandResult run = stage.Run("archive", {"--stream", kChainStream});
  INFO(run);
  CHECK(run.exit_code == 1);
  CHECK(run.out.find("10 parts of archived ones dead") != std::string::npos);
  CHECK(stage.Value("SELECT count(*) FROM sprockets.log") == "100");
  CHECK(stage.Value("SELECT count(*) FROM sprockets.deposited_events") == "90");
  CHECK(stage.Dead() == "10");
  // A new group reads everything again: nothing changes.
  CHECK(stage.Run("archive", {"--stream", kChainStream, "--group", "again"}).exit_code == 0);
  CHECK(stage.Value("SELECT count(*) FROM sprockets.deposited_events") == "90");
  CHECK(stage.Dead() == "10");
  CHECK(stage.Run("verify", {"--only", "rindexer*"}).exit_code == 0);
  stage.redis.Call({"DEL", kChainStream});
  CHECK(stage.Run("rebuild").exit_code == 0);
  CHECK(stage.redis.Call({"XLEN", kChainStream}).integer == 100);

  stage.Sql(
      "ALTER TABLE sprockets.deposited_events ADD more text NOT NULL DEFAULT '', ALTER shares TYPE bigint USING 0, "
      "DROP CONSTRAINT deposited_events_pkey");
  stage.Send(Message("Deposited", nlohmann::json::array({Deposit(1)})));
  const CommandResult stopped = stage.Run("archive", {"--stream", kChainStream});
  INFO(stopped);
  CHECK(stopped.exit_code == 1);
  CHECK(stopped.Says("has no primary key"));
  CHECK(stage.Dead() == "10");
}

}  // namespace
}  // namespace sprockets::harness
