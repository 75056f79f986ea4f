// The options of a command, each bound to the field that takes its value. What the field holds before is the default,
// in --help, too: so a default stands at its field, and nowhere else.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/options.h"
#include "shared/base/result.h"

namespace sprockets {

/// Fields, names and texts must outlive the table. Options appear in --help in the order in which they are added.
class OptionTable {
 public:
  void Flag(std::string_view name, std::string_view help, bool* field);
  /// `value` is what stands for the value in --help.
  void Text(std::string_view name, std::string_view value, std::string_view help, std::string* field);
  void Text(std::string_view name, std::string_view value, std::string_view help, std::optional<std::string>* field);
  /// Where nothing may not be meant, `missing` says what is missing.
  void NonEmptyText(std::string_view name, std::string_view value, std::string_view help, std::string_view missing,
                    std::string* field);
  void NonEmptyText(std::string_view name, std::string_view value, std::string_view help, std::string_view missing,
                    std::optional<std::string>* field);
  void Path(std::string_view name, std::string_view value, std::string_view help, std::filesystem::path* field);
  void Duration(std::string_view name, std::string_view help, int64_t* ms);
  /// A field of 0 has no default: 0 is the absence of a limit.
  void Integer(std::string_view name, std::string_view value, std::string_view help, int64_t least, int64_t most,
               int64_t* field);
  /// `words` are those of the enum's values, in their order.
  template <typename Enum>
  void Choice(std::string_view name, std::span<const std::string_view> words, std::string_view help, Enum* field) {
    AddChoice(name, words, help, static_cast<size_t>(*field),
              [field](size_t place) { *field = static_cast<Enum>(place); });
  }
  /// Any other option. `read` takes what was given and may look at other options, too; none: another's does.
  using Reader = std::function<Status(const Options& given)>;
  void Add(const Option& option, Reader read = nullptr);

  /// An option that is in the table has to be given, unless `*unless` is set by another one.
  void Require(std::string_view name, const bool* unless = nullptr);
  /// A server that the options name: `ask` answers in a line that it can be used, or says why not; nothing where none
  /// was given. After Read, and only for --probe.
  using Ask = std::function<Result<std::string>()>;
  void Server(Ask ask) { servers_.push_back(std::move(ask)); }
  const std::vector<Ask>& servers() const { return servers_; }
  /// One word that may stand beside the options.
  void Word(std::string_view shown, std::string* field);

  std::span<const Option> options() const { return options_; }
  /// The words, for the usage: " [FILE]".
  std::string Words() const;
  /// Into the fields. The error is kUsage.
  Status Read(const Options& given) const;

 private:
  struct Required {
    std::string_view name;
    const bool* unless;  // may be none
  };
  struct WordField {
    std::string_view shown;
    std::string* field;
  };
  void AddChoice(std::string_view name, std::span<const std::string_view> words, std::string_view help, size_t preset,
                 std::function<void(size_t)> take);
  /// Keeps a text that is made here.
  std::string_view Keep(std::string text) { return texts_.emplace_back(std::move(text)); }

  std::vector<Option> options_;
  std::vector<Reader> readers_;
  std::vector<Required> required_;
  std::vector<WordField> words_;
  std::vector<Ask> servers_;
  std::deque<std::string> texts_;  // which views of options_ lie in
};

}  // namespace sprockets
