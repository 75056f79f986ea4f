#include "replayer/schema_set/set_files.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

namespace sprockets {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

}  // namespace

Error Wrong(const std::filesystem::path& file, size_t line, const std::string& why) {
  return {ErrorCode::kRefused, file.native() + ": line " + std::to_string(line) + ": " + why};
}

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::vector<std::string> WordsOf(std::string_view line) {
  std::istringstream stream{std::string(line)};
  return {std::istream_iterator<std::string>(stream), std::istream_iterator<std::string>()};
}

Result<std::string> ReadText(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream) return Error{ErrorCode::kIo, "cannot read " + file.native()};
  return std::move(text).str();
}

Status RequireSet(const std::filesystem::path& set) {
  const std::string context = "--schema: ";
  std::error_code error;
  if (!std::filesystem::is_directory(set, error))
    return Error{ErrorCode::kNotFound,
                 context + "there is no folder " + set.native() + " (write, for example, schema/season_of_code)"};
  bool has_part = false;
  for (const char* part : {"migrations", "archive", "boards", "rebuild", "access"}) {
    has_part = has_part || std::filesystem::is_directory(set / part, error);
    if (error && error != std::errc::no_such_file_or_directory)
      return Error{ErrorCode::kIo, context + "cannot read " + set.native() + ": " + error.message()};
  }
  if (has_part) return {};
  return Error{
      ErrorCode::kNotFound,
      context + set.native() + " is no schema set: it has no folder migrations, archive, boards, rebuild or access"};
}

Result<std::vector<std::filesystem::path>> SqlFiles(const std::filesystem::path& set, std::string_view part) {
  RETURN_IF_ERROR(RequireSet(set));
  std::error_code error;
  std::vector<std::filesystem::path> files;
  for (std::filesystem::directory_iterator at(set / part, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".sql") files.push_back(at->path());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return Error{ErrorCode::kIo, "cannot read " + (set / part).native() + ": " + error.message()};
  std::sort(files.begin(), files.end());
  return files;
}

bool IsWord(std::string_view text) {
  const auto belongs = [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || letter == '-' || letter == '_';
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), belongs);
}

}  // namespace sprockets
