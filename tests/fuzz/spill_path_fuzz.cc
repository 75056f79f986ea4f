// Any XADD on its whole way to disk: accepted by the router, spilled by the store, its answer given. Nothing that the
// door lets through may reach an assert on that way, so the input is stretched to the door's limits and one beyond.
#include <array>
#include <fuzzer/FuzzedDataProvider.h>
#include <string>
#include <vector>

#include "shared/base/limits.h"
#include "shared/redis/resp.h"
#include "shared/spill/disk_folder.h"
#include "shared/spill/start_up.h"
#include "sidecar/core/router.h"
#include "sidecar/disk/spill_store.h"
#include "tests/fuzz/scratch.h"

namespace sprockets::fuzz {
namespace {

constexpr std::string_view kEventIdField = "event_id";

/// The router over a real spill store, Redis being away.
class SpillPath : ReplySink, RedisSink, SpillSink, RouterNotices {
 public:
  SpillPath() : router_(Options(), IdentityHasher(), {this, this, this}) {
    OpenedFolder opened = Must(OpenSpillFolder(folder_));
    SpillStore::Options options;
    options.producer = Options().producer;
    options.event_id_field = kEventIdField;
    options.spill_file_bytes = 4 << 20;
    options.spill_max_bytes = 32 << 20;
    store_.emplace(folder_, *std::move(opened.state), options,
                   FolderReader(folder_, opened.files, {.hasher = router_.hasher()}),
                   [this](std::vector<SpillCompletion> done) { done_ = std::move(done); });
    lock_ = std::move(opened.lock);
  }

  /// The answer.
  std::string Xadd(const std::vector<std::string_view>& args) {
    std::string body;
    for (const std::string_view arg : args) AppendBulk(body, arg);
    reply_.clear();
    router_.Accept({this, ++slot_}, args, body, {1}, {1});
    if (!jobs_.empty()) store_->Process(jobs_);
    jobs_.clear();
    for (SpillCompletion& completion : std::exchange(done_, {})) {
      router_.OnSpillOutcome(std::move(std::get<SpillOutcome>(completion)));
    }
    return reply_;
  }

 private:
  static RouterOptions Options() {
    RouterOptions options;
    options.producer = "0123456789abcdef";
    options.event_id_field = kEventIdField;
    return options;
  }

  void Send(const PendingEvent&) override { SPROCKETS_ASSERT(false); }
  void ReadTail(StreamState&, std::optional<StreamId>, int64_t) override { SPROCKETS_ASSERT(false); }
  void Spill(SpillRequest request) override { jobs_.emplace_back(std::move(request)); }
  void Reply(uint64_t slot, std::string_view resp) override {
    SPROCKETS_ASSERT(slot == slot_ && reply_.empty());
    reply_ = resp;
  }
  void ProbeRedis(std::string_view) override {}
  void UnknownForgotten() override {}
  void StreamRefused(const StreamState&, std::string_view) override {}
  void StreamAcceptedAgain(const StreamState&) override {}

  const ScratchFolder scratch_;
  const DiskFolder folder_ = Must(DiskFolder::Open(scratch_.path() / "spill"));
  Router router_;
  FileLock lock_;
  std::optional<SpillStore> store_;
  std::vector<SpillJob> jobs_;
  std::vector<SpillCompletion> done_;
  std::string reply_;
  uint64_t slot_ = 0;
};

/// A length around a limit, or any small one.
size_t Around(FuzzedDataProvider& input, size_t limit) {
  const auto choice = input.ConsumeIntegralInRange<size_t>(0, 15);
  return choice < 4 ? limit - 2 + choice : choice - 4;
}

}  // namespace
}  // namespace sprockets::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sprockets;
  using namespace sprockets::fuzz;
  static SpillPath path;
  FuzzedDataProvider input(data, size);
  std::string stream = input.ConsumeRandomLengthString(8);
  stream.resize(Around(input, kMaxStreamNameBytes), 's');
  std::vector<std::string> words = {"XADD", stream};
  constexpr std::array kOptions = {"NOMKSTREAM", "MAXLEN", "MINID", "~", "=", "10", "1-1", "LIMIT"};
  for (size_t n = input.ConsumeIntegralInRange<size_t>(0, 6); n > 0; --n)
    words.emplace_back(input.PickValueInArray(kOptions));
  words.emplace_back("*");
  const size_t fields = Around(input, kMaxFields);
  const size_t id_at = input.ConsumeBool() ? input.ConsumeIntegralInRange<size_t>(0, fields) : fields + 1;
  const std::string id(Around(input, kMaxEventIdBytes), 'e');
  for (size_t i = 0; i <= fields; ++i) {
    if (i == id_at) words.insert(words.end(), {std::string(kEventIdField), id});
    if (i == fields) break;
    words.push_back(i < 4 ? input.ConsumeRandomLengthString(12) : "f");
    words.push_back(i < 4 ? input.ConsumeRandomLengthString(12) : "v");
  }
  const std::string reply = path.Xadd({words.begin(), words.end()});
  SPROCKETS_ASSERT(reply.starts_with("+0-") || reply.starts_with("-INVALID ") || reply.starts_with("-RETRY "));
  return 0;
}
