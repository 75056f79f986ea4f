// Options that several commands have: how each is called, read and checked, once.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "replayer/option_table.h"
#include "replayer/postgres/postgres.h"
#include "replayer/redis/target.h"
#include "replayer/structure/stores.h"
#include "replayer/terminal/progress.h"
#include "shared/http/listen_address.h"

namespace sprockets {

/// --spill-dir, which has to be given.
void AddSpillDir(OptionTable& options, std::filesystem::path* folder);
/// --socket, of the sidecar; empty: not given.
void AddSocket(OptionTable& options, std::string* path);
/// --redis and --redis-password-file; a Redis has to be given, unless `*unless` is set by another option.
void AddRedis(OptionTable& options, RedisTarget* redis, const bool* unless = nullptr);
/// The same, where none need be given.
void AddOptionalRedis(OptionTable& options, std::optional<RedisTarget>* redis);
/// --postgres, --postgres-password-file and --postgres-wait; a database has to be given, unless `*unless` is set.
void AddPostgres(OptionTable& options, PostgresTarget* postgres, const bool* unless = nullptr);
/// --schema, which has to be given, unless `*unless` is set.
void AddSchema(OptionTable& options, std::filesystem::path* folder, const bool* unless = nullptr);
/// --schema, which need not be given; empty: it was not.
void AddOptionalSchema(OptionTable& options, std::filesystem::path* folder);
/// Both sides of a schema set, and --only: a glob over the names of rebuild/*.sql. PostgreSQL is not needed where
/// `*unless` is set.
void AddStructures(OptionTable& options, Stores* stores, std::string* only, const bool* unless = nullptr);
/// --admin: where a service is told of by HTTP; none: nowhere.
void AddAdmin(OptionTable& options, std::optional<ListenAddress>* address);
void AddProgress(OptionTable& options, ProgressStyle* style);

}  // namespace sprockets
