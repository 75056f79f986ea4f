// What the readers of a set's files share: its files by part, their text, words and errors.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace sprockets {

/// kRefused: "FILE: line 3: why".
Error Wrong(const std::filesystem::path& file, size_t line, const std::string& why);
std::string_view Trim(std::string_view text);
/// Separated by blanks.
std::vector<std::string> WordsOf(std::string_view line);
/// Letters, dashes and underscores alone, and not nothing.
bool IsWord(std::string_view text);

/// kIo.
Result<std::string> ReadText(const std::filesystem::path& file);
/// kNotFound: `set` is no folder, or none of a set.
Status RequireSet(const std::filesystem::path& set);
/// The files of the set's folder `part` that end in .sql, by name; none where there is no such folder.
Result<std::vector<std::filesystem::path>> SqlFiles(const std::filesystem::path& set, std::string_view part);

}  // namespace sprockets
