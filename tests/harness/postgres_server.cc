#include "tests/harness/postgres_server.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <pwd.h>
#include <stdexcept>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include <libpq-fe.h>

namespace sprockets::harness {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUser = "postgres";

struct ConnectionDeleter {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct ResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Connection = std::unique_ptr<PGconn, ConnectionDeleter>;
using QueryResult = std::unique_ptr<PGresult, ResultDeleter>;

/// The newest of the installed versions; Debian keeps them out of PATH.
fs::path Programs() {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", error)) {
    if (fs::exists(version.path() / "bin" / "initdb")) found.push_back(version.path() / "bin");
  }
  if (found.empty()) throw std::runtime_error("there is no /usr/lib/postgresql/*/bin/initdb");
  return *std::max_element(found.begin(), found.end());
}

Connection Connect(const std::string& url) {
  Connection connection(PQconnectdb(url.c_str()));
  if (PQstatus(connection.get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection.get()));
  PQsetNoticeProcessor(
      connection.get(), [](void*, const char*) {}, nullptr);
  return connection;
}

QueryResult Run(PGconn* connection, const std::string& sql) {
  QueryResult result(PQexec(connection, sql.c_str()));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
    throw std::runtime_error(PQerrorMessage(connection) + sql.substr(0, 200));
  return result;
}

}  // namespace

void GiveToPostgres(const fs::path& folder) {
  if (getuid() != 0) return;
  const passwd* user = getpwnam(kUser);
  if (user == nullptr) throw std::runtime_error("there is no user postgres, and PostgreSQL refuses to run as root");
  OpenTheWayTo(folder);
  if (chown(folder.c_str(), user->pw_uid, user->pw_gid) != 0)
    throw std::system_error(errno, std::generic_category(), "chown");
}

/// The kernel forgets what is to happen at our death when the user changes, so setpriv tells it last.
std::vector<std::string> AsPostgres(const std::string& signal) {
  std::vector<std::string> words{"setpriv", "--pdeathsig", signal};
  if (getuid() == 0) words.insert(words.end(), {"--reuid", kUser, "--regid", kUser, "--init-groups"});
  return words;
}

std::vector<std::vector<std::string>> QueryAt(const std::string& url, const std::string& sql) {
  const Connection connection = Connect(url);
  const QueryResult result = Run(connection.get(), sql);
  std::vector<std::vector<std::string>> rows(static_cast<size_t>(PQntuples(result.get())));
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    for (int column = 0; column < PQnfields(result.get()); ++column)
      rows[static_cast<size_t>(row)].emplace_back(PQgetvalue(result.get(), row, column));
  }
  return rows;
}

PostgresServer& PostgresServer::Shared() {
  static PostgresServer server;
  return server;
}

PostgresServer::PostgresServer() {
  GiveToPostgres(folder_.path());
  const TempDir output;
  const RunResult made =
      harness::Run(AsItsUser({Programs() / "initdb", "-D", folder_ / "data", "-U", kUser, "-A", "trust", "-E", "UTF8",
                              "--locale=C.UTF-8", "--no-sync", "--no-instructions"}),
                   output.path());
  if (made.exit_code != 0) throw std::runtime_error("initdb: " + made.out + made.err);
  Start();
}

PostgresServer::~PostgresServer() {
  Kill();
}

/// The kernel keeps the shared memory of a PostgreSQL that is killed, as on Ctrl-C, and initdb's too. So, where the
/// system allows it, both run in namespaces of their own, whose memory goes with their last process. Each word goes on
/// as the program after it, so signals reach it. SIGQUIT: PostgreSQL gives its memory back itself, SIGKILL would not.
std::vector<std::string> PostgresServer::AsItsUser(std::vector<std::string> command) const {
  const bool root = getuid() == 0;
  std::vector<std::string> words{"unshare", "--ipc", "--mount"};
  if (!root) words.insert(words.end(), {"--user", "--map-current-user", "--keep-caps"});
  words.insert(words.end(), {"sh", "-c", "mount -t tmpfs none /dev/shm && exec \"$@\"", "sh"});
  std::vector<std::string> attempt = words;
  attempt.emplace_back("true");
  const TempDir output;
  if (harness::Run(std::move(attempt), output.path()).exit_code != 0) words.clear();
  const std::vector<std::string> user = AsPostgres("QUIT");
  words.insert(words.end(), user.begin(), user.end());
  if (!root) words.insert(words.end(), {"--inh-caps=-all", "--ambient-caps=-all"});
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

void PostgresServer::Start() {
  process_.reset();
  process_ = std::make_unique<Process>(Process::Options{
      .command = AsItsUser({Programs() / "postgres", "-D", folder_ / "data", "-k", folder_.path(), "-c",
                            "listen_addresses=", "-c", "fsync=off", "-c", "synchronous_commit=off", "-c",
                            "full_page_writes=off", "-c", "shared_buffers=32MB", "-c", "max_connections=40"}),
      .output = folder_ / "server",
      .environment = {}});
  const bool up = WaitUntil([this] { return !process_->Running() || PQping(Url("postgres").c_str()) == PQPING_OK; });
  if (!up || !process_->Running()) throw std::runtime_error("postgres did not start: " + process_->Stderr());
}

void PostgresServer::Kill() {
  if (!process_) return;
  // To the postmaster alone, which ends the others: the group holds those that are not ended by a second signal.
  if (process_->Running()) kill(process_->pid(), SIGQUIT);
  process_->Wait();
  process_.reset();
}

std::string PostgresServer::CreateDatabase() {
  const std::string name = "test" + std::to_string(++databases_);
  // From template0 without a checkpoint: the copy goes through the log, which costs little without fsync.
  Execute("postgres", "CREATE DATABASE " + name + " TEMPLATE template0 STRATEGY wal_log");
  return name;
}

std::string PostgresServer::Url(const std::string& database, const std::string& login) const {
  return "postgres://" + login + "@/" + database + "?host=" + folder_.path().string();
}

void PostgresServer::Execute(const std::string& database, const std::string& sql) const {
  static_cast<void>(Run(Connect(Url(database)).get(), sql));
}

void PostgresServer::ExecuteFile(const std::string& database, const fs::path& file) const {
  Execute(database, ReadWholeFile(file));
}

std::string PostgresServer::Value(const std::string& database, const std::string& sql) const {
  return Query(database, sql).at(0).at(0);
}

}  // namespace sprockets::harness
