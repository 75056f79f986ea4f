#include "replayer/option_table.h"

#include <algorithm>
#include <utility>

namespace sprockets {
namespace {

/// `Field` is a text, or an optional one.
template <typename Field>
OptionTable::Reader ReaderOfNonEmptyText(std::string_view name, std::string_view missing, Field* field) {
  return [name, missing, field](const Options& given) -> Status {
    if (!given.Has(name)) return {};
    if (given.Text(name).empty()) return Error{ErrorCode::kUsage, given.Origin(name) + ": " + std::string(missing)};
    *field = given.Text(name);
    return {};
  };
}

/// As the option takes it: "24h".
std::string DurationWord(int64_t ms) {
  constexpr std::pair<int64_t, const char*> kUnits[] = {{3'600'000, "h"}, {60'000, "m"}, {1'000, "s"}};
  for (const auto& [unit_ms, unit] : kUnits) {
    if (ms % unit_ms == 0) return std::to_string(ms / unit_ms) + unit;
  }
  return std::to_string(ms) + "ms";
}

}  // namespace

void OptionTable::Add(const Option& option, Reader read) {
  options_.push_back(option);
  if (read) readers_.push_back(std::move(read));
}

void OptionTable::Flag(std::string_view name, std::string_view help, bool* field) {
  Add({.name = name, .value = "", .help = help}, [name, field](const Options& given) -> Status {
    *field = given.Flag(name);
    return {};
  });
}

void OptionTable::Text(std::string_view name, std::string_view value, std::string_view help, std::string* field) {
  Add({.name = name, .value = value, .help = help, .preset = Keep(*field)},
      [name, field](const Options& given) -> Status {
        if (given.Has(name)) *field = given.Text(name);
        return {};
      });
}

void OptionTable::Text(std::string_view name, std::string_view value, std::string_view help,
                       std::optional<std::string>* field) {
  Add({.name = name, .value = value, .help = help}, [name, field](const Options& given) -> Status {
    if (given.Has(name)) *field = given.Text(name);
    return {};
  });
}

void OptionTable::NonEmptyText(std::string_view name, std::string_view value, std::string_view help,
                               std::string_view missing, std::string* field) {
  Add({.name = name, .value = value, .help = help}, ReaderOfNonEmptyText(name, missing, field));
}

void OptionTable::NonEmptyText(std::string_view name, std::string_view value, std::string_view help,
                               std::string_view missing, std::optional<std::string>* field) {
  Add({.name = name, .value = value, .help = help}, ReaderOfNonEmptyText(name, missing, field));
}

void OptionTable::Path(std::string_view name, std::string_view value, std::string_view help,
                       std::filesystem::path* field) {
  Add({.name = name, .value = value, .help = help}, [name, field](const Options& given) -> Status {
    if (given.Has(name)) *field = given.Text(name);
    return {};
  });
}

void OptionTable::Duration(std::string_view name, std::string_view help, int64_t* ms) {
  Add({.name = name, .value = "DURATION", .help = help, .preset = Keep(DurationWord(*ms))},
      [name, ms](const Options& given) -> Status {
        ASSIGN_OR_RETURN(*ms, given.DurationMs(name));
        return {};
      });
}

void OptionTable::Integer(std::string_view name, std::string_view value, std::string_view help, int64_t least,
                          int64_t most, int64_t* field) {
  Add({.name = name, .value = value, .help = help, .preset = *field == 0 ? "" : Keep(std::to_string(*field))},
      [name, least, most, field](const Options& given) -> Status {
        if (!given.Has(name)) return {};
        ASSIGN_OR_RETURN(*field, given.Integer(name, least, most));
        return {};
      });
}

void OptionTable::AddChoice(std::string_view name, std::span<const std::string_view> words, std::string_view help,
                            size_t preset, std::function<void(size_t)> take) {
  std::string value;
  for (const std::string_view word : words) value.append(value.empty() ? "" : "|").append(word);
  Add({.name = name, .value = Keep(std::move(value)), .help = help, .preset = words[preset]},
      [name, words, take = std::move(take)](const Options& given) -> Status {
        ASSIGN_OR_RETURN(const size_t place, given.Choice(name, words));
        take(place);
        return {};
      });
}

void OptionTable::Require(std::string_view name, const bool* unless) {
  const auto is_it = [&](const Option& option) { return option.name == name; };
  const auto option = std::find_if(options_.begin(), options_.end(), is_it);
  SPROCKETS_ASSERT(option != options_.end());
  option->required = true;
  required_.push_back({option->name, unless});
}

void OptionTable::Word(std::string_view shown, std::string* field) {
  words_.push_back({shown, field});
}

std::string OptionTable::Words() const {
  std::string words;
  for (const WordField& word : words_) words.append(" [").append(word.shown).append("]");
  return words;
}

Status OptionTable::Read(const Options& given) const {
  RETURN_IF_ERROR(given.RefuseWords(words_.size()));
  for (size_t i = 0; i < given.words().size(); ++i) *words_[i].field = given.words()[i];
  for (const Reader& read : readers_) RETURN_IF_ERROR(read(given));
  for (const auto& [name, unless] : required_) {
    const bool is_needed = unless == nullptr || !*unless;
    if (is_needed && given.Text(name).empty()) return MissingOption(name);
  }
  return {};
}

}  // namespace sprockets
