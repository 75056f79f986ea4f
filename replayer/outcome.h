// How a command ends: for people in lines, for programs as one JSON document, for the shell as an exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "replayer/exit_code.h"
#include "shared/base/result.h"

namespace sprockets {

/// The document begins with the command and has then, in this order, what is given here.
struct Outcome {
  nlohmann::ordered_json counts = nlohmann::ordered_json::object();  // each a member of the document
  std::optional<int64_t> duration_ms;
  std::string result;                                                 // in a word: "verified"; empty: no document
  std::optional<std::string> error;                                   // why it could not do all of its work
  nlohmann::ordered_json details = nlohmann::ordered_json::object();  // members, likewise
  std::string text;                                                   // for people: whole lines
  ExitCode exit_code = ExitCode::kDone;

  /// Of a command that could not do its work. People find the error in the log.
  static Outcome Failed(const Error& error);

  /// The document, with a line break at its end.
  std::string Json(std::string_view command) const;
};

/// Where a command writes what it was asked for. Everything else it says on stderr. One thread.
class Output {
 public:
  /// `out` must outlive this object.
  Output(std::string_view command, bool json, std::ostream& out);

  bool json() const { return json_; }
  /// For what is printed while the command is at work.
  std::ostream& out() { return out_; }
  /// Since the command began.
  int64_t ElapsedMs() const;

  /// The error into the log; then the document where JSON is wanted, else the lines.
  void Print(const Outcome& outcome);

 private:
  const std::string command_;
  const bool json_;
  std::ostream& out_;
  const int64_t begun_ms_;
};

/// A string where `bytes` are UTF-8, else {"base64":"…"}.
nlohmann::ordered_json JsonOfBytes(std::string_view bytes);
/// In one line, without a line break at its end. Strings that are no UTF-8 have U+FFFD in place of what is none.
std::string JsonLine(const nlohmann::ordered_json& json);

}  // namespace sprockets
