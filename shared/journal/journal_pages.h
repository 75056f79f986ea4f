// Pages of a stream's rows, read out of the journals that no writer has open. A file is opened when it is first asked
// about a stream; few stay open. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "shared/ahead/journal.h"
#include "shared/base/result.h"
#include "shared/redis/stream_id.h"
#include "shared/spill/file.h"
#include "shared/spill/folder.h"

namespace sprockets {

class JournalPages {
 public:
  static constexpr size_t kPageRows = 1024;
  static constexpr size_t kPageBytes = 1 << 20;

  /// The folder must outlive it.
  explicit JournalPages(const SpillFolder& folder, size_t page_rows = kPageRows)
      : folder_(folder), page_rows_(page_rows) {}

  /// The next page. Nothing: a file that may hold its rows cannot be opened now. It must not be passed over, or rows
  /// behind it would come first.
  std::optional<JournalPage> Read(const JournalRead& read);
  /// Nobody is likely to ask soon: others may want the files.
  void CloseFiles() { open_.clear(); }
  bool has_open_files() const { return !open_.empty(); }

 private:
  /// What one file holds of one stream.
  struct Part {
    uint32_t stream = 0;
    int64_t id = 0;  // in the file
    int64_t last_ticket = 0;
    bool bounds_known = false;
    StreamId first;  // of its rows that can be read; the last one below the first one: there are none
    StreamId last;
    StreamId asked_id;         // of the row that was its next one when it was last asked
    int64_t asked_ticket = 0;  // 0: it was not
  };
  struct File {
    SpillFileInfo info;
    bool asked = false;            // which streams it holds
    std::vector<Part> parts = {};  // by stream

    Part* PartOf(uint32_t stream);
  };
  using Files = std::map<int64_t, File>;  // by number
  struct Open {
    int64_t number = 0;
    std::unique_ptr<SpillFile> file;
  };
  /// Where the last page of a stream ended.
  struct Place {
    int64_t number = 0;  // of the file
    int64_t ticket = 0;
    StreamId id;
    bool down = false;
  };
  /// A page, as far as it is read.
  struct Reading {
    const JournalRead& read;
    uint32_t stream = 0;
    StreamId at;  // up: the last id that was passed; down: likewise
    JournalPage page = {};
    size_t bytes = 0;
    bool full = false;
    bool past_end = false;  // of the range
    bool listed = false;    // the folder, for this page
    std::optional<Place> place = {};
    std::optional<StreamId> until = {};  // where another file has the next row; nothing: nowhere in this one's range
  };
  /// A file that has rows for a page.
  struct Candidate {
    File* file = nullptr;
    Part* part = nullptr;
    StreamId next;  // up: no row of it that is still to be read is below; down: above
  };
  enum class Chosen { kNone, kOne, kNotNow };

  Status List();
  Result<SpillFile*> OpenFile(File& file);
  Status AskStreams(File& file);
  Status AskBounds(File& file, std::string_view stream, Part* part);
  Status Prepare(File& file, const Reading& reading);
  Chosen Choose(Reading* reading, File** chosen);
  Status AskNext(const Reading& reading, Candidate* candidate, bool* has_one);
  Chosen ChooseAmongOverlapping(Reading* reading, File** chosen);
  Status ReadFrom(File& file, Reading* reading);
  Result<int64_t> TicketBefore(SpillFile& journal, const File& file, const SpilledStream& stream,
                               const Reading& reading);
  bool Take(const SpilledEvent& row, int64_t number, Reading* reading) const;
  /// False: it must be tried again.
  bool HandleTrouble(const Error& error, int64_t number);
  void Complain(int64_t number, const std::string& why);
  uint32_t NumberOf(const std::string& stream);

  const SpillFolder& folder_;
  const size_t page_rows_;
  Files files_;
  std::vector<Open> open_;  // the one that was used last is the last one
  std::unordered_map<std::string, uint32_t> streams_;
  std::unordered_map<uint32_t, Place> places_;
  std::vector<Candidate> candidates_;  // scratch
  std::vector<int64_t> complained_;    // about those that could not be opened, once each
};

}  // namespace sprockets
