// Looking into a spill folder.
#include "replayer/drain/folder_survey.h"

#include <algorithm>
#include <filesystem>
#include <memory>

#include "replayer/drain/landed_rows.h"
#include "shared/base/text.h"
#include "shared/spill/file.h"

namespace sprockets {
namespace {

Result<std::vector<StreamSurvey>> SurveyJournal(SpillFile& file, LandedRows& landed) {
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file.UncountedStreams());
  std::vector<StreamSurvey> surveys;
  for (const SpilledStream& stream : streams) {
    StreamSurvey& survey = surveys.emplace_back();
    survey.name = stream.name;
    survey.rejected = stream.rejected;
    ASSIGN_OR_RETURN(survey.left, landed.CountWaiting(file, stream));
    if (survey.left == 0) continue;
    const auto first = [&](const SpilledEvent& event) {
      survey.oldest_ms = event.received_ms;
      return false;
    };
    RETURN_IF_ERROR(landed.VisitWaiting(file, stream, first));
  }
  return surveys;
}

Result<std::vector<StreamSurvey>> SurveyStreams(const SpillFolder& folder, LandedRows& landed, FileSurvey* of_file) {
  ASSIGN_OR_RETURN(const std::unique_ptr<SpillFile> file, folder.OpenFile(of_file->info));
  of_file->is_journal = file->names_entries();
  if (of_file->is_journal) return SurveyJournal(*file, landed);
  ASSIGN_OR_RETURN(const std::vector<SpilledStream> streams, file->Streams());
  std::vector<StreamSurvey> surveys;
  for (const SpilledStream& stream : streams) {
    StreamSurvey& survey = surveys.emplace_back();
    survey.name = stream.name;
    survey.left = stream.rows_left;
    survey.rejected = stream.rejected;
    if (stream.rows_left == 0) continue;
    const auto first = [&](const SpilledEvent& event) {
      survey.oldest_ms = event.received_ms;
      return false;
    };
    RETURN_IF_ERROR(file->Visit(stream, stream.cursor.done_ticket, 0, first));
  }
  return surveys;
}

}  // namespace

Result<std::vector<FileSurvey>> SurveyFolder(const SpillFolder& folder) {
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  LandedRows landed(folder);
  std::vector<FileSurvey> surveys;
  for (const SpillFileInfo& info : files) {
    FileSurvey survey{info, {}, ""};
    if (info.quarantined) {
      survey.not_read = "quarantined: it cannot be read; drain --salvage takes what is good";
    } else if (info.state == SpillFileInfo::State::kActive) {
      survey.not_read =
          info.suspect ? "suspect: drain settles every row" : "active: the sidecar's (its STATUS counts the rows)";
    } else {
      Result<std::vector<StreamSurvey>> streams = SurveyStreams(folder, landed, &survey);
      // It was drained or removed between the listing and now.
      if (!streams.ok() && streams.error().code == ErrorCode::kNotFound) continue;
      if (streams.ok()) {
        survey.streams = std::move(streams).value();
      } else {
        survey.not_read = streams.error().message;
      }
    }
    surveys.push_back(std::move(survey));
  }
  return surveys;
}

std::string_view StateWord(const SpillFileInfo& info) {
  if (info.quarantined) return "quarantined";
  if (info.suspect) return "suspect";
  switch (info.state) {
    case SpillFileInfo::State::kActive:
      return "active";
    case SpillFileInfo::State::kSealed:
      return "sealed";
    case SpillFileInfo::State::kDrained:
      return "drained";
  }
  return "";
}

Result<SpillFileInfo> FindSpillFile(const SpillFolder& folder, const std::string& text) {
  namespace fs = std::filesystem;
  ASSIGN_OR_RETURN(const std::vector<SpillFileInfo> files, folder.List());
  std::error_code ignored;
  const fs::path candidates[] = {fs::weakly_canonical(text, ignored), folder.path() / text,
                                 folder.path() / "drained" / text};
  for (const SpillFileInfo& info : files) {
    const fs::path path = fs::weakly_canonical(info.path, ignored);
    const auto is_file = [&](const fs::path& candidate) { return fs::weakly_canonical(candidate, ignored) == path; };
    const bool is_number = info.path.filename().native().starts_with(text + ".");
    if (is_number || std::any_of(std::begin(candidates), std::end(candidates), is_file)) return info;
  }
  return Error{ErrorCode::kNotFound, "no spill file '" + Escape(text) + "' in " + folder.path().native()};
}

}  // namespace sprockets
