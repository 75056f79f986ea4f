// xadd_latency SOCKET CLIENTS PER_SECOND SECONDS [PIPELINE]: sends XADDs at a fixed rate, whether or not earlier ones
// are answered, and prints as JSON how long they took. The time of each begins when it was due and not when it was
// sent: whatever holds one up, and with it those behind it, counts for all of them. PIPELINE of them, or 1, are due
// together, on one connection. One thread.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <poll.h>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include "bench/events.h"
#include "shared/base/result.h"
#include "shared/base/text.h"
#include "shared/redis/reply_framer.h"

namespace sprockets::bench {
namespace {

constexpr int64_t kSecond = 1'000'000'000;  // every time here is in nanoseconds
constexpr int64_t kAwakeBefore = 100'000;   // a sleep may end so late, so the rest until an event is due is no sleep
constexpr int64_t kPatience = 10 * kSecond;
constexpr size_t kPayloadBytes = 300;
constexpr int kBucketsADoubling = 16;

int64_t Now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Error SystemError(const char* what) {
  return {ErrorCode::kIo, std::string(what) + ": " + std::strerror(errno)};
}

/// A connection, and when the events that it waits for were due.
class Client {
 public:
  Client() = default;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() {
    if (fd_ >= 0) close(fd_);
  }

  Status Connect(const char* path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (std::strlen(path) >= sizeof address.sun_path) return UsageError("the path of the socket is too long");
    std::strcpy(address.sun_path, path);
    fd_ = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return SystemError(path);
    return {};
  }
  int fd() const { return fd_; }

  Status Send(int64_t due, std::string_view event_id) {
    due_.push_back(due);
    AppendXaddCommand(unsent_, payload_, event_id);
    return Flush();
  }
  /// What the socket has no room for waits.
  Status Flush() {
    const ssize_t sent = send(fd_, unsent_.data(), unsent_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN ? Status() : SystemError("send");
    unsent_.erase(0, static_cast<size_t>(sent));
    return {};
  }
  bool has_unsent() const { return !unsent_.empty(); }

  /// Calls `took(nanoseconds)` for each event that was answered.
  template <typename Took>
  Status Receive(const Took& took) {
    char bytes[16 * 1024];
    const ssize_t received = recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT);
    if (received < 0 && errno == EAGAIN) return {};
    if (received <= 0) return received == 0 ? Error{ErrorCode::kIo, "the server closed"} : SystemError("recv");
    const int64_t now = Now();
    std::string_view rest(bytes, static_cast<size_t>(received));
    while (!rest.empty()) {
      size_t taken = 0;
      const ReplyFramer::Outcome outcome = framer_.Take(rest, &taken);
      if (outcome == ReplyFramer::Outcome::kPart) break;
      // Only Redis's own id, a bulk string, says that the event went all the way.
      const bool is_id = outcome == ReplyFramer::Outcome::kWhole && framer_.type() == '$';
      if (!is_id || due_.empty()) return Error{ErrorCode::kRefused, "no entry id: " + Escape(rest)};
      rest.remove_prefix(taken);
      took(now - due_.front());
      due_.pop_front();
    }
    return {};
  }

 private:
  const std::string payload_ = Payload(kPayloadBytes);
  int fd_ = -1;
  std::string unsent_;
  std::deque<int64_t> due_;
  ReplyFramer framer_;
};

/// Durations, to the nanosecond.
class Distribution {
 public:
  void Add(int64_t took) { all_.push_back(took); }
  void Sort() { std::sort(all_.begin(), all_.end()); }
  size_t size() const { return all_.size(); }
  double QuantileUs(double quantile) const {
    const auto at = static_cast<size_t>(std::ceil(quantile * static_cast<double>(all_.size())));
    return static_cast<double>(all_[std::clamp<size_t>(at, 1, all_.size()) - 1]) / 1e3;
  }
  /// How many took up to so many microseconds and longer than the bucket before.
  std::map<double, size_t> Buckets() const {
    std::map<int, size_t> counts;
    for (const int64_t took : all_) {
      const double microseconds = std::max(1.0, static_cast<double>(took) / 1e3);
      ++counts[static_cast<int>(std::ceil(std::log2(microseconds) * kBucketsADoubling))];
    }
    std::map<double, size_t> buckets;
    for (const auto& [number, count] : counts)
      buckets[std::exp2(static_cast<double>(number) / kBucketsADoubling)] = count;
    return buckets;
  }

 private:
  std::vector<int64_t> all_;
};

struct Load {
  const char* socket = nullptr;
  size_t clients = 0;
  int64_t per_second = 0;
  int64_t seconds = 0;
  int64_t pipeline = 1;

  int64_t warm_up() const { return per_second / 2; }  // events; they are not counted
  int64_t events() const { return warm_up() + per_second * seconds; }
};

class Generator {
 public:
  explicit Generator(const Load& load) : load_(load), clients_(load.clients) {}

  Status Run() {
    prctl(PR_SET_TIMERSLACK, 1);
    for (Client& client : clients_) RETURN_IF_ERROR(client.Connect(load_.socket));
    begun_ = progress_ = Now();
    while (answered_ < load_.events()) RETURN_IF_ERROR(Turn());
    took_.Sort();
    late_.Sort();
    return {};
  }
  const Distribution& took() const { return took_; }
  /// How long after it was due each event was sent: the generator's own share.
  const Distribution& late() const { return late_; }

 private:
  int64_t Due(int64_t event) const {
    return begun_ + event / load_.pipeline * load_.pipeline * kSecond / load_.per_second;
  }

  Status Turn() {
    int64_t now = Now();
    for (; sent_ < load_.events() && Due(sent_) <= now; now = Now()) RETURN_IF_ERROR(SendNext(now));
    if (now - progress_ > kPatience) return Error{ErrorCode::kUnreachable, "no answer for 10 seconds"};
    const int64_t next = sent_ < load_.events() ? Due(sent_) : now + kSecond;
    return TakeAnswers(std::max<int64_t>(0, next - now - kAwakeBefore));
  }

  Status SendNext(int64_t now) {
    if (sent_ >= load_.warm_up()) late_.Add(now - Due(sent_));
    char id[40];
    std::snprintf(id, sizeof id, "72d3162e-cc78-11e3-%04x-%012lld", static_cast<unsigned>(begun_ & 0xffff),
                  static_cast<long long>(sent_));
    Client& client = clients_[static_cast<size_t>(sent_ / load_.pipeline) % clients_.size()];
    return client.Send(Due(sent_++), id);
  }

  Status TakeAnswers(int64_t wait) {
    polls_.clear();
    for (const Client& client : clients_) {
      polls_.push_back({client.fd(), static_cast<short>(client.has_unsent() ? POLLIN | POLLOUT : POLLIN), 0});
    }
    const timespec timeout{wait / kSecond, wait % kSecond};
    if (ppoll(polls_.data(), polls_.size(), &timeout, nullptr) < 0) return SystemError("ppoll");
    for (size_t i = 0; i < polls_.size(); ++i) {
      if (polls_[i].revents & POLLOUT) RETURN_IF_ERROR(clients_[i].Flush());
      if (!(polls_[i].revents & ~POLLOUT)) continue;
      RETURN_IF_ERROR(clients_[i].Receive([this](int64_t took) { OnAnswer(took); }));
    }
    return {};
  }

  // Clients are answered in any order, so a few of the warm-up's last events may be counted in place of others.
  void OnAnswer(int64_t took) {
    progress_ = Now();
    if (answered_++ >= load_.warm_up()) took_.Add(took);
  }

  const Load load_;
  std::vector<Client> clients_;
  std::vector<pollfd> polls_;
  int64_t begun_ = 0;
  int64_t progress_ = 0;  // when the last answer came
  int64_t sent_ = 0;
  int64_t answered_ = 0;
  Distribution took_;
  Distribution late_;
};

void Print(const Distribution& took, const Distribution& late) {
  std::printf("{\"events\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f,\n",
              took.size(), took.QuantileUs(0.5), took.QuantileUs(0.99), took.QuantileUs(0.999), took.QuantileUs(1));
  std::printf(" \"sent_late_p50_us\": %.1f, \"sent_late_p99_us\": %.1f,\n \"buckets_us\": [", late.QuantileUs(0.5),
              late.QuantileUs(0.99));
  const char* separator = "";
  for (const auto& [most, count] : took.Buckets()) {
    std::printf("%s[%.2f, %zu]", separator, most, count);
    separator = ", ";
  }
  std::printf("]}\n");
}

Status Main(std::span<char* const> args) {
  if (args.size() != 5 && args.size() != 6)
    return UsageError("usage: xadd_latency SOCKET CLIENTS PER_SECOND SECONDS [PIPELINE]");
  ASSIGN_OR_RETURN(const int64_t clients, ParseInteger(args[2], 1, 1000));
  ASSIGN_OR_RETURN(const int64_t per_second, ParseInteger(args[3], 2, 1'000'000));
  ASSIGN_OR_RETURN(const int64_t seconds, ParseInteger(args[4], 1, 3600));
  Load load{args[1], static_cast<size_t>(clients), per_second, seconds};
  if (args.size() == 6) {
    ASSIGN_OR_RETURN(load.pipeline, ParseInteger(args[5], 1, 1000));
  }
  Generator generator(load);
  RETURN_IF_ERROR(generator.Run());
  Print(generator.took(), generator.late());
  return {};
}

}  // namespace
}  // namespace sprockets::bench

int main(int argc, char** argv) {
  const sprockets::Status done = sprockets::bench::Main({argv, static_cast<size_t>(argc)});
  if (done.ok()) return 0;
  std::fprintf(stderr, "xadd_latency: %s\n", done.error().message.c_str());
  return 1;
}
