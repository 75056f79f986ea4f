// SQLite behind Results. Any thread, one at a time for each Database.
#include "shared/spill/sqlite.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include <sqlite3.h>

#include "shared/base/files.h"
#include "shared/base/text.h"

namespace sprockets {
namespace {

// Of the 100 bytes with which every database begins, https://sqlite.org/fileformat.html section 1.3.
constexpr size_t kHeaderBytes = 100;
constexpr std::string_view kMagic{"SQLite format 3", 16};  // with its NUL
constexpr size_t kReadVersionAt = 19;
constexpr size_t kUserVersionAt = 60;
constexpr size_t kApplicationIdAt = 68;
constexpr uint8_t kReadVersionWal = 2;

// Of the WAL, section 4 there.
constexpr off_t kWalHeaderBytes = 32;
constexpr off_t kFrameHeaderBytes = 24;
constexpr size_t kPagesAfterCommitAt = 4;  // in a frame's header; not zero: this frame ends a commit
constexpr size_t kFrameSaltAt = 8;
constexpr size_t kWalSaltAt = 16;  // in the WAL's header
constexpr size_t kSaltBytes = 8;
constexpr size_t kWalChecksumAt = 24;  // of the words before it
constexpr uint32_t kWalMagicBigEndian = 0x377f0683;

/// Closes on the way out.
struct FileDescriptor {
  explicit FileDescriptor(int opened) : fd(opened) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd >= 0) close(fd);
  }
  const int fd;
};

ErrorCode CodeOf(int result, int system_error) {
  // A good file must not be taken for a bad one by a process that has no descriptor left to open it with, or no right.
  if (const ErrorCode code = CodeOfSystemError(system_error); code != ErrorCode::kIo) return code;
  switch (result & 0xff) {
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return ErrorCode::kForbidden;
    case SQLITE_NOMEM:
      return ErrorCode::kStarved;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::kBusy;
    case SQLITE_FULL:
      return ErrorCode::kFull;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:  // All SQL is ours: a table or a column that it does not find is missing from the file.
      return ErrorCode::kCorrupt;
    default:
      return ErrorCode::kIo;
  }
}

Error FailureOf(sqlite3* database) {
  std::string message = sqlite3_errmsg(database);
  const int code = sqlite3_extended_errcode(database);
  // The system's error is that of the last call that failed, whenever that was: it belongs only to these.
  const int primary = code & 0xff;
  int system_error = 0;
  if (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) {
    system_error = sqlite3_system_errno(database);
    message += " (SQLite " + std::to_string(code);
    if (system_error != 0) message += ", " + std::generic_category().message(system_error);
    message += ")";
  }
  return {CodeOf(code, system_error), message};
}

/// What a user without rights should do about it.
Error ExplainForbidden(Error error, const std::filesystem::path& path) {
  const std::string owner = error.code == ErrorCode::kForbidden ? WhoOwns(path) : "";
  if (!owner.empty()) error.message += ": " + owner;
  return error;
}

int32_t BigEndian32(const uint8_t* bytes) {
  return static_cast<int32_t>(uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 |
                              uint32_t{bytes[3]});
}

/// Is a WAL's header as SQLite wrote it? Two running sums over its words are its checksum.
bool IsWhole(const std::array<uint8_t, kWalHeaderBytes>& header) {
  const auto word_at = [&](size_t at) { return static_cast<uint32_t>(BigEndian32(&header[at])); };
  const bool big_endian = word_at(0) == kWalMagicBigEndian;
  uint32_t first = 0;
  uint32_t second = 0;
  for (size_t at = 0; at < kWalChecksumAt; at += 8) {
    const uint32_t even = word_at(at);
    const uint32_t odd = word_at(at + 4);
    first += (big_endian ? even : __builtin_bswap32(even)) + second;
    second += (big_endian ? odd : __builtin_bswap32(odd)) + first;
  }
  return first == word_at(kWalChecksumAt) && second == word_at(kWalChecksumAt + 4);
}

/// How many commits stand in a WAL behind its good frames, of the round that it is in. The first frame there counts
/// whatever its salts are: they may be what is damaged.
int CommitsBehind(int wal, int64_t frame_bytes, int good_frames) {
  std::array<uint8_t, kWalHeaderBytes> header{};
  std::array<uint8_t, kFrameHeaderBytes> frame{};
  if (pread(wal, header.data(), header.size(), 0) != kWalHeaderBytes) return 0;
  const bool know_salts = IsWhole(header);
  int commits = 0;
  off_t at = kWalHeaderBytes + good_frames * frame_bytes;
  for (bool first = true; pread(wal, frame.data(), frame.size(), at) == kFrameHeaderBytes; first = false) {
    const bool same_round = !know_salts || std::memcmp(&frame[kFrameSaltAt], &header[kWalSaltAt], kSaltBytes) == 0;
    if ((first || same_round) && BigEndian32(&frame[kPagesAfterCommitAt]) != 0) ++commits;
    at += frame_bytes;
  }
  return commits;
}

int64_t SizeOf(const std::string& path) {
  struct stat facts = {};
  return stat(path.c_str(), &facts) == 0 ? facts.st_size : 0;
}

/// SQLite would create it readable for everybody; its journals take over the mode of the database.
Status CreatePrivateFile(const std::filesystem::path& path) {
  const FileDescriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.fd >= 0) {
    GiveToOwnerOfFolder(path);
    return {};
  }
  const int number = errno;
  return Error{CodeOfSystemError(number), "cannot create it: " + std::generic_category().message(number)};
}

}  // namespace

bool IsSqlText(std::string_view bytes) {
  return bytes.find('\0') == std::string_view::npos && IsUtf8(bytes);
}

void Statement::Finalizer::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

Error Statement::Failure() const {
  return FailureOf(sqlite3_db_handle(statement_.get()));
}

void Statement::BindNull(int index) {
  SPROCKETS_ASSERT(sqlite3_bind_null(statement_.get(), index) == SQLITE_OK);
}

void Statement::BindInteger(int index, int64_t value) {
  SPROCKETS_ASSERT(sqlite3_bind_int64(statement_.get(), index, value) == SQLITE_OK);
}

void Statement::BindBytes(int index, std::string_view bytes) {
  if (!IsSqlText(bytes)) return BindBlob(index, bytes);
  const char* data = bytes.empty() ? "" : bytes.data();  // a null pointer would bind NULL
  SPROCKETS_ASSERT(sqlite3_bind_text64(statement_.get(), index, data, bytes.size(), SQLITE_STATIC, SQLITE_UTF8) ==
                   SQLITE_OK);
}

void Statement::BindBlob(int index, std::string_view bytes) {
  const char* data = bytes.empty() ? "" : bytes.data();
  SPROCKETS_ASSERT(sqlite3_bind_blob64(statement_.get(), index, data, bytes.size(), SQLITE_STATIC) == SQLITE_OK);
}

Result<bool> Statement::Step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  return Failure();
}

Status Statement::Run() {
  Result<bool> row = Step();
  Reset();
  if (!row.ok()) return std::move(row).error();
  return {};
}

void Statement::Reset() {
  sqlite3_reset(statement_.get());
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

int64_t Statement::Integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view Statement::Bytes(int column) const {
  // The pointer first: asked in the other order, SQLite may convert in between.
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data), static_cast<size_t>(size)};
}

void Database::Closer::operator()(sqlite3* database) const {
  // SQLITE_BUSY: a Statement outlives its Database, and the file would stay open and locked behind our back.
  SPROCKETS_ASSERT(sqlite3_close(database) == SQLITE_OK);
}

Error Database::Failure() const {
  return FailureOf(database_.get());
}

Result<Database> Database::Open(const std::filesystem::path& path, const Options& options) {
  std::error_code ignored;
  std::error_code not_seen;
  const auto type = std::filesystem::symlink_status(path, not_seen).type();
  if (type == std::filesystem::file_type::none) return Error{CodeOfSystemError(not_seen.value()), not_seen.message()};
  if (type == std::filesystem::file_type::not_found) {
    if (!options.initialize) return Error{ErrorCode::kNotFound, "there is no such file"};
    RETURN_IF_ERROR(CreatePrivateFile(path));
  } else if (type != std::filesystem::file_type::regular) {
    return Error{ErrorCode::kIo, "it is not a regular file"};
  }

  Database database;
  database.path_ = path;
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOMUTEX;
  const int opened = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  database.database_.reset(handle);
  database.wal_pages_ = std::make_unique<int>(0);
  if (opened != SQLITE_OK) {
    // A drain moved it since we looked.
    if (std::filesystem::symlink_status(path, ignored).type() == std::filesystem::file_type::not_found)
      return Error{ErrorCode::kNotFound, "the file no longer exists"};
    if (opened == SQLITE_CANTOPEN_SYMLINK) return Error{ErrorCode::kIo, "its path leads through a symbolic link"};
    return ExplainForbidden(database.Failure(), path);
  }
  if (sqlite3_db_readonly(handle, "main") == 1) {
    return ExplainForbidden(Error{ErrorCode::kForbidden, "this user may not write it"}, path);
  }

  bool is_wal = false;
  RETURN_IF_ERROR(database.InspectHeader(options, &is_wal));
  // Before the first read: only then does SQLite keep the index of the WAL in memory, and other processes out.
  if (is_wal || options.journal == Journal::kWal) {
    RETURN_IF_ERROR(database.SetPragma("locking_mode", "exclusive"));
  }
  RETURN_IF_ERROR(database.Configure(options));
  ASSIGN_OR_RETURN(const std::optional<int64_t> pages, database.QueryInteger("PRAGMA page_count"));
  ASSIGN_OR_RETURN(const std::optional<int64_t> page_bytes, database.QueryInteger("PRAGMA page_size"));
  database.page_bytes_ = page_bytes.value_or(0);
  RETURN_IF_ERROR(database.LimitSize(options));
  if (pages.value_or(0) == 0) {
    if (database.page_bytes_ != options.page_bytes)
      return Error{ErrorCode::kIo, "SQLite did not take pages of " + std::to_string(options.page_bytes) + " bytes"};
    if (!options.initialize) return Error{ErrorCode::kCorrupt, "the file is empty"};
    RETURN_IF_ERROR(database.Create(options));
  }
  RETURN_IF_ERROR(database.EnterJournal(options));
  return database;
}

/// Looks at the header through SQLite's own file handle, below its locks and journals: a second descriptor of ours
/// would drop the process's locks on closing. Our files have these bytes before they enter WAL mode, so they stand in
/// the file itself.
Status Database::InspectHeader(const Options& options, bool* is_wal) {
  sqlite3_file* file = nullptr;
  sqlite3_file_control(database_.get(), "main", SQLITE_FCNTL_FILE_POINTER, &file);
  sqlite3_int64 size = 0;
  std::array<uint8_t, kHeaderBytes> header{};
  if (file->pMethods->xFileSize(file, &size) != SQLITE_OK) return Failure();
  if (size == 0 && WalBytes() > 0) {
    // SQLite would take it for a new database and delete the WAL.
    return Error{ErrorCode::kCorrupt, "the file is empty, but its WAL is not"};
  }
  if (size < static_cast<int64_t>(kHeaderBytes)) return {};
  if (file->pMethods->xRead(file, header.data(), kHeaderBytes, 0) != SQLITE_OK) {
    return Error{ErrorCode::kIo, "its first bytes cannot be read"};
  }
  if (std::memcmp(header.data(), kMagic.data(), kMagic.size()) != 0) return {};  // SQLite will say so, or roll it back
  *is_wal = header[kReadVersionAt] == kReadVersionWal;

  const int32_t application_id = BigEndian32(&header[kApplicationIdAt]);
  const int32_t version = BigEndian32(&header[kUserVersionAt]);
  if (application_id != options.application_id) return Error{ErrorCode::kForeign, "another program made this file"};
  late_synced_ = options.late_synced_version != 0 && version == options.late_synced_version;
  if (version > options.user_version) {
    return Error{ErrorCode::kForeign, "it has format " + std::to_string(version) +
                                          ", made by a newer version; this program knows format " +
                                          std::to_string(options.user_version) + ": use the newer program"};
  }
  return {};
}

Status Database::Configure(const Options& options) {
  struct Switch {
    int option;
    int value;
  };
  for (const auto& [option, value] :
       {Switch{SQLITE_DBCONFIG_DEFENSIVE, 1}, Switch{SQLITE_DBCONFIG_DQS_DML, 0}, Switch{SQLITE_DBCONFIG_DQS_DDL, 0},
        Switch{SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0}, Switch{SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1}}) {
    int now = -1;
    if (sqlite3_db_config(database_.get(), option, value, &now) != SQLITE_OK || now != value) {
      return Error{ErrorCode::kIo, "SQLite refused configuration switch " + std::to_string(option)};
    }
  }
  RETURN_IF_ERROR(SetPragma("busy_timeout", std::to_string(options.busy_timeout_ms)));
  // For a new file. Only after the first read is it known which size one that is there has.
  RETURN_IF_ERROR(Execute("PRAGMA page_size=" + std::to_string(options.page_bytes)));
  // EXTRA: as FULL, and without a WAL a commit is the deletion of its journal, which must outlast a power cut, too.
  RETURN_IF_ERROR(SetPragma("synchronous", options.sync_commits ? "3" : "1"));
  RETURN_IF_ERROR(SetPragma("cell_size_check", "1"));
  RETURN_IF_ERROR(SetPragma("wal_autocheckpoint", "0"));
  const auto count_pages = [](void* counter, sqlite3*, const char*, int pages) {
    *static_cast<int*>(counter) = pages;
    return SQLITE_OK;
  };
  sqlite3_wal_hook(database_.get(), count_pages, wal_pages_.get());
  RETURN_IF_ERROR(SetPragma("temp_store", "2"));  // memory: nothing of an event leaves the folder
  RETURN_IF_ERROR(SetPragma("cache_size", std::to_string(-options.cache_bytes / 1024)));
  return {};
}

Status Database::LimitSize(const Options& options) {
  if (options.max_bytes == 0) return {};
  return SetPragma("max_page_count", std::to_string(std::max<int64_t>(1, options.max_bytes / page_bytes_)));
}

Status Database::Create(const Options& options) {
  RETURN_IF_ERROR(Begin());
  RETURN_IF_ERROR(SetPragma("application_id", std::to_string(options.application_id)));
  const int32_t version = options.created_version != 0 ? options.created_version : options.user_version;
  RETURN_IF_ERROR(SetPragma("user_version", std::to_string(version)));
  RETURN_IF_ERROR(options.initialize(*this));
  return Commit();
}

Status Database::EnterJournal(const Options& options) {
  if (options.journal == Journal::kWal) return SetPragma("journal_mode", "wal");
  Result<std::string> mode = QueryText("PRAGMA journal_mode");
  if (!mode.ok()) return std::move(mode).error();
  if (mode.value() == "delete") return {};
  if (Status whole = RefuseDamagedWal(); !whole.ok()) {
    if (!(options.accept_damaged_wal || late_synced_) || whole.error().code != ErrorCode::kCorrupt) return whole;
    wal_damage_ = whole.error().message;
  }
  RETURN_IF_ERROR(Checkpoint());
  return LeaveWal();
}

/// Recovery ends at the first frame whose checksum is wrong, and one flipped bit makes every frame behind it wrong. A
/// crash can tear only the last commit, the one that was never acknowledged: two commits behind the end are damage.
/// What an earlier round of the WAL has left there has other salts, and was checkpointed.
Status Database::RefuseDamagedWal() {
  int good_frames = 0;
  if (sqlite3_wal_checkpoint_v2(database_.get(), "main", SQLITE_CHECKPOINT_PASSIVE, &good_frames, nullptr) !=
      SQLITE_OK) {
    return Failure();
  }
  const FileDescriptor wal(open((path_.native() + "-wal").c_str(), O_RDONLY | O_CLOEXEC));
  if (wal.fd < 0) {
    if (errno == ENOENT) return {};
    const int number = errno;
    return Error{CodeOfSystemError(number), "its WAL cannot be read: " + std::generic_category().message(number)};
  }
  good_frames = std::max(good_frames, 0);
  const int lost_commits = CommitsBehind(wal.fd, WalFrameBytes(), good_frames);
  if (lost_commits < 2) return {};
  return Error{ErrorCode::kCorrupt, "its WAL is damaged: " + std::to_string(lost_commits) + " commits after frame " +
                                        std::to_string(good_frames) + " cannot be read"};
}

Status Database::Execute(std::string_view sql) {
  const std::string text(sql);
  if (sqlite3_exec(database_.get(), text.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return Failure();
  return {};
}

Result<Statement> Database::Prepare(std::string_view sql) {
  sqlite3_stmt* handle = nullptr;
  const int result = sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  if (result != SQLITE_OK) return Failure();
  Statement statement;
  statement.statement_.reset(handle);
  return statement;
}

Result<std::optional<int64_t>> Database::QueryInteger(std::string_view sql) {
  ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  ASSIGN_OR_RETURN(const bool found, statement.Step());
  if (!found) return std::optional<int64_t>();
  return std::optional<int64_t>(statement.Integer(0));
}

Result<std::string> Database::QueryText(std::string_view sql) {
  ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  ASSIGN_OR_RETURN(const bool found, statement.Step());
  return found ? std::string(statement.Bytes(0)) : std::string();
}

Status Database::SetPragma(std::string_view name, std::string_view value) {
  const std::string pragma = "PRAGMA " + std::string(name);
  RETURN_IF_ERROR(Execute(pragma + "=" + std::string(value)));
  ASSIGN_OR_RETURN(const std::string now, QueryText(pragma));
  if (now != value) {
    return Error{ErrorCode::kIo, "SQLite did not take " + pragma + "=" + std::string(value) + " but has " + now};
  }
  return {};
}

Status Database::Begin() {
  return Execute("BEGIN IMMEDIATE");
}

Status Database::Commit() {
  return Execute("COMMIT");
}

void Database::Rollback() {
  // After some errors SQLite has rolled back by itself; a rollback that fails is finished by the next opening.
  if (sqlite3_get_autocommit(database_.get()) == 0)
    sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

int64_t Database::Changes() const {
  return sqlite3_changes64(database_.get());
}

Status Database::Checkpoint(WalRoom room) {
  const int mode = room == WalRoom::kRelease ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_RESTART;
  if (sqlite3_wal_checkpoint_v2(database_.get(), "main", mode, nullptr, nullptr) != SQLITE_OK) return Failure();
  *wal_pages_ = 0;
  return {};
}

Status Database::SyncWal() {
  sqlite3_file* wal = nullptr;
  sqlite3_file_control(database_.get(), "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
  if (wal == nullptr || wal->pMethods == nullptr) return {};  // it has none: nothing was committed
  if (wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL) == SQLITE_OK) return {};
  return Error{ErrorCode::kIo, "cannot sync " + path_.native() + "-wal: " + std::generic_category().message(errno)};
}

Status Database::LeaveWal() {
  RETURN_IF_ERROR(SetPragma("journal_mode", "delete"));
  RETURN_IF_ERROR(SetPragma("locking_mode", "normal"));
  // Under the exclusive lock SQLite keeps the journal of its last write, blank. This read gives up lock and journal.
  if (auto read = QueryInteger("SELECT count(*) FROM sqlite_schema"); !read.ok()) return std::move(read).error();
  return {};
}

Status Database::QuickCheck() {
  Result<std::string> verdict = QueryText("PRAGMA quick_check(1)");
  if (!verdict.ok()) return std::move(verdict).error();
  if (verdict.value() == "ok") return {};
  return Error{ErrorCode::kCorrupt, std::move(verdict).value()};
}

int64_t Database::WalBytes() const {
  return SizeOf(path_.native() + "-wal");
}

int64_t Database::WalFrameBytes() const {
  return kFrameHeaderBytes + page_bytes_;
}

int64_t Database::UncheckpointedBytes() const {
  return *wal_pages_ * WalFrameBytes();
}

int64_t Database::FileBytes() const {
  return SizeOf(path_.native()) + WalBytes();
}

}  // namespace sprockets
