#include "sidecar/door/clients.h"

#include <algorithm>
#include <string>
#include <utility>

namespace sprockets {

namespace {

constexpr size_t kMaxClients = 1000;
constexpr size_t kReadBufferBytes = 64 * 1024;
constexpr int64_t kMaxBufferedBytes = 32 << 20;       // half-read commands of all clients
constexpr size_t kCommandOverheadBytes = 256 * 1024;  // RESP headers around an event of the largest size

}  // namespace

bool BufferBudget::MayGoOn(const Connection* client) {
  if (bytes_ <= most_bytes_) return true;
  if (goes_on_ == nullptr) goes_on_ = client;
  return goes_on_ == client;
}

void BufferBudget::Done(const Connection* client) {
  if (goes_on_ == client) goes_on_ = nullptr;
}

Clients::Clients(EventSink* events, AdminCommands* admin, Relay* relay, SkipBook* skips, Routes routes,
                 LoopClock* clock, size_t max_event_bytes)
    : events_(events),
      admin_(admin),
      relay_(relay),
      skips_(skips),
      routes_(std::move(routes)),
      clock_(clock),
      max_command_bytes_(max_event_bytes + kCommandOverheadBytes),
      read_buffer_(kReadBufferBytes),
      buffers_(kMaxBufferedBytes) {}

void Clients::Add(UvHandle<uv_pipe_t> pipe) {
  if (clients_.size() >= kMaxClients) {
    std::string refusal = "-ERR max number of clients reached\r\n";
    uv_buf_t buffer = uv_buf_init(refusal.data(), static_cast<unsigned>(refusal.size()));
    uv_try_write(reinterpret_cast<uv_stream_t*>(pipe.get()), &buffer, 1);
    return;
  }
  auto client = std::make_unique<Connection>(this, std::move(pipe), next_id_++, max_command_bytes_);
  Connection* connection = client.get();
  clients_.emplace(connection, std::move(client));
  connection->Start();
}

void Clients::Resume() {
  if (to_resume_.empty() || !events_->CanAccept()) return;
  for (Connection* client : std::exchange(to_resume_, {})) {
    client->resume_wanted = false;
    client->Resume();
  }
}

void Clients::Flush() {
  flushing_.swap(to_flush_);  // their flush may want another
  for (Connection* client : flushing_) {
    client->flush_wanted = false;
    client->Flush();
  }
  flushing_.clear();
  if (forgotten_.empty()) return;
  std::erase_if(to_resume_, [](const Connection* client) { return client->closed(); });
  std::erase_if(to_flush_, [](const Connection* client) { return client->closed(); });
  forgotten_.clear();
}

void Clients::CheckStalls() {
  for (Connection* client : All()) client->CheckStall();
}

void Clients::StopReading() {
  stopped_ = true;
  for (Connection* client : All()) client->StopReading();
}

bool Clients::all_idle() const {
  return std::all_of(clients_.begin(), clients_.end(),
                     [](const auto& client) { return client.second->idle() || client.second->closed(); });
}

void Clients::Close() {
  for (Connection* client : All()) {
    client->Flush();
    client->Close();
  }
}

ServerInfo Clients::Info() const {
  ServerInfo info = admin_->Info();
  info.clients = static_cast<int64_t>(clients_.size());
  return info;
}

void Clients::WantsFlush(Connection* client) {
  if (!std::exchange(client->flush_wanted, true)) to_flush_.push_back(client);
}

void Clients::WantsResume(Connection* client) {
  if (!std::exchange(client->resume_wanted, true)) to_resume_.push_back(client);
}

void Clients::Forget(Connection* client) {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return;
  forgotten_.push_back(std::move(found->second));
  clients_.erase(found);
}

// A copy: what is done with a client may end in Forget.
std::vector<Connection*> Clients::All() const {
  std::vector<Connection*> clients;
  for (const auto& [client, owned] : clients_) clients.push_back(client);
  return clients;
}

}  // namespace sprockets
