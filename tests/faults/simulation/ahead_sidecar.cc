#include "tests/faults/simulation/ahead_sidecar.h"

#include <algorithm>
#include <utility>

#include "shared/base/overloaded.h"
#include "shared/journal/entry_tags.h"
#include "shared/journal/journal_contents.h"
#include "shared/journal/restore.h"
#include "shared/redis/resp.h"

namespace sprockets::sim {

AheadSidecar::AheadSidecar(World* world, AheadWitness* witness, ForwarderLink* link, ForwarderNotices* notices)
    : world_(world), witness_(witness), link_(link), notices_(notices), folder_(world) {}

AheadSidecar::~AheadSidecar() {
  Die();
}

bool AheadSidecar::Start(const Options& options) {
  auto opened = OpenSpillFolder(folder_);
  if (!opened.ok()) return false;
  opened_ = std::make_unique<OpenedFolder>(std::move(opened).value());
  auto contents = ReadJournals(folder_, opened_->files);
  SPROCKETS_ASSERT(contents.ok());
  auto tags = DrawTag(contents.value(), &*opened_->state,
                      [this] { return static_cast<EntryTag>(1 + world_->random() % kMostEntryTag); });
  if (!tags.ok()) return false;
  journal_ = std::make_unique<Journal>(this);
  forwarder_ = std::make_unique<Forwarder>(options.forwarder, std::move(tags).value(), link_, journal_.get(), notices_);
  Restore(contents.value(), opened_->state->landed(), /*others_too=*/true, forwarder_.get());
  has_salvaged_ = forwarder_->has_salvaged();
  journal_->Start(forwarder_.get());
  AcceptorOptions accepts;
  accepts.producer = std::to_string(1'000'000'000'000'000 + ++lives_);
  const IdentityHasher::Key key{};
  acceptor_ = std::make_unique<Acceptor>(accepts, IdentityHasher(key), forwarder_.get(), this);
  FolderReader earlier(folder_, opened_->files,
                       {.hasher = acceptor_->hasher(),
                        .max_inflight_bytes = 1 << 20,
                        .window_capacity = accepts.dedupe_window,
                        .most_unknown = Window::kMostUnknown,
                        .moved = contents.value().current});
  // However much of a large folder was read before the door opened: the rest is read between other things.
  size_t read_first = 1 + world_->random() % 3;
  do {
    const auto events = earlier.ReadNext();
    SPROCKETS_ASSERT(events.ok());
    acceptor_->OnEarlierEvents(events.value(), earlier.complete());
  } while (earlier.left() > 0 && --read_first > 0);
  reads_folder_ = earlier.left() > 0;
  SpillStore::Options store;
  store.producer = accepts.producer;
  store.event_id_field = accepts.event_id_field;
  store.names_entries = true;
  store.retain_ms = options.retain_ms;
  store.earlier_journals = std::move(contents.value().files);
  store_ = std::make_unique<SpillStore>(folder_, *std::move(opened_->state), store, std::move(earlier),
                                        [this](std::vector<SpillCompletion> done) {
                                          for (SpillCompletion& completion : done)
                                            done_.push_back(std::move(completion));
                                        });
  journal_pages_ = std::make_unique<JournalPages>(folder_, options.page_rows);
  return true;
}

void AheadSidecar::Die() {
  journal_pages_.reset();
  store_.reset();
  acceptor_.reset();
  forwarder_.reset();
  journal_.reset();
  opened_.reset();
  for (auto& [number, file] : world_->disk.files)
    file.held_by_sidecar = false;  // as the kernel lets go of a dead process's locks
  jobs_.clear();
  done_.clear();
  pages_.clear();
  reads_folder_ = false;
}

void AheadSidecar::Accept(uint64_t slot, const std::vector<std::string_view>& xadd, LoopTime now) {
  std::string body;
  for (const std::string_view arg : xadd) AppendBulk(body, arg);
  acceptor_->Accept({this, slot}, xadd, body, {world_->redis.now_ms}, now);
}

void AheadSidecar::RunDisk() {
  if (reads_folder_) jobs_.emplace_back(ReadFolderJob{});
  std::vector<SpillJob> jobs = std::exchange(jobs_, {});
  store_->Process(jobs);
  while (!done_.empty()) {
    SpillCompletion completion = std::move(done_.front());
    done_.pop_front();
    std::visit(Overloaded{
                   [this](SpillOutcome& outcome) { acceptor_->OnOutcome(std::move(outcome)); },
                   [](const Recorded&) {},
                   [this](const Sealed& sealed) { journal_->OnSealed(sealed.status.ok()); },
                   [](const Described&) {},
                   [this](const FolderRead& read) {
                     acceptor_->OnEarlierEvents(read.events, read.complete);
                     reads_folder_ = read.left > 0;
                   },
                   [](LandedNoted) {},
                   [this](const JournalBlocked& told) { acceptor_->OnBlocked(told.blocked, told.why); },
               },
               completion);
  }
}

void AheadSidecar::EverySecond(LoopTime now) {
  if (has_salvaged_ && !forwarder_->has_salvaged()) {
    has_salvaged_ = false;
    jobs_.emplace_back(SalvagedPlacedJob{});
  }
  acceptor_->CheckPatience(now);
  journal_->KeepHouse();
  jobs_.emplace_back(KeepJournalJob{});
}

void AheadSidecar::ReadPage(JournalRead read) {
  std::erase_if(pages_, [&](const JournalRead& other) { return other.stream == read.stream; });
  pages_.push_back(std::move(read));
}

// One that cannot be read now is tried again.
void AheadSidecar::GivePage() {
  if (pages_.empty()) return;
  const JournalRead read = std::move(pages_.front());
  pages_.pop_front();
  std::optional<JournalPage> page = journal_pages_->Read(read);
  if (world_->Chance(500)) journal_pages_->CloseFiles();
  if (!page) return pages_.push_back(read);
  journal_->OnPage(read.stream, std::move(*page));
}

void AheadSidecar::SpillMoved(SpillRequest request) {
  witness_->Moves();
  request.event->received = {world_->redis.now_ms};
  jobs_.emplace_back(std::move(request));
}

void AheadSidecar::KeepRejected(const std::string& stream, int64_t ticket, std::string_view why) {
  for (const auto& [number, file] : world_->disk.files) {
    for (const DiskStream& each : file.streams) {
      for (const DiskRow& row : each.rows) {
        if (row.ticket == ticket) witness_->Rejects(row.fields[row.event_id_at]);
      }
    }
  }
  jobs_.emplace_back(RejectJob{stream, ticket, std::string(why)});
}

}  // namespace sprockets::sim
