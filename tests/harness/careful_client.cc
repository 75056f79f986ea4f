#include "tests/harness/careful_client.h"

#include <stdexcept>
#include <thread>
#include <utility>

namespace sprockets::harness {
namespace {

constexpr std::chrono::milliseconds kReplyLimit{20'000};
constexpr std::chrono::milliseconds kPauseBeforeRetry{10};

// "UNKNOWN <event id> why"
std::string EventIdOf(const Reply& unknown) {
  const size_t begin = unknown.text.find(' ') + 1;
  return unknown.text.substr(begin, unknown.text.find(' ', begin) - begin);
}

}  // namespace

CarefulClient::Counts& CarefulClient::Counts::operator+=(const Counts& other) {
  landed += other.landed;
  spilled += other.spilled;
  retried += other.retried;
  given_up += other.given_up;
  invalid += other.invalid;
  return *this;
}

CarefulClient::CarefulClient(std::filesystem::path socket_path, Ledger& ledger, size_t number)
    : socket_path_(std::move(socket_path)), ledger_(ledger), number_(number) {}

CarefulClient::Counts CarefulClient::Send(std::span<const Event> events, std::chrono::milliseconds limit) {
  for (const Event& event : events) ledger_.Intend(event, number_);
  std::vector<Offer> offers;
  for (const Event& event : events) offers.push_back({.event = event});
  return SendAll(std::move(offers), limit);
}

void CarefulClient::SendAgain(std::span<const Event> events, std::chrono::milliseconds limit) {
  std::vector<Offer> offers;
  for (const Event& event : events)
    offers.push_back({.event = event, .again = true, .maybe_stored = true, .repeats = true});
  SendAll(std::move(offers), limit);
}

CarefulClient::Counts CarefulClient::SendAll(std::vector<Offer> waiting, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  Counts counts;
  for (;;) {
    Try(waiting, counts);
    if (waiting.empty()) return counts;
    if (std::chrono::steady_clock::now() > deadline) {
      throw std::runtime_error(std::to_string(waiting.size()) + " events were not acknowledged in " +
                               std::to_string(limit.count()) + "ms");
    }
    std::this_thread::sleep_for(kPauseBeforeRetry);
  }
}

void CarefulClient::Try(std::vector<Offer>& waiting, Counts& counts) {
  std::vector<std::optional<Reply>> replies(waiting.size());
  try {
    if (!connection_) connection_ = RespClient::ConnectUnix(socket_path_);
  } catch (const ConnectionClosed&) {
    return;  // nothing was sent
  }
  try {
    for (const Offer& offer : waiting) connection_->Send(XaddOf(offer.event));
    for (std::optional<Reply>& reply : replies) reply = connection_->Read(kReplyLimit);
  } catch (const ConnectionClosed&) {
    connection_.reset();  // those without a reply may be stored or not
  }
  std::vector<Offer> again;
  for (size_t i = 0; i < waiting.size(); ++i) {
    if (MustRetry(waiting[i], replies[i], counts)) again.push_back(std::move(waiting[i]));
  }
  waiting = std::move(again);
}

bool CarefulClient::MustRetry(Offer& offer, const std::optional<Reply>& reply, Counts& counts) {
  Event& event = offer.event;
  if (reply && reply->Acknowledged() && !event.invalid) {
    if (!offer.repeats) ledger_.Acknowledge(event, reply->text, !offer.again);
    ++(reply->Landed() ? counts.landed : counts.spilled);
    return false;
  }
  if (reply && reply->IsError("INVALID") && event.invalid) {
    ledger_.Refuse(event);
    ++counts.invalid;
    return false;
  }
  ++counts.retried;
  offer.again = true;
  if (reply && reply->IsError("RETRY")) {
    if (!gives_up_) return true;
    if (!offer.maybe_stored) ledger_.Refuse(event);
    ++counts.given_up;
    return false;
  }
  offer.maybe_stored = true;
  if (reply && reply->IsError("UNKNOWN")) {
    if (event.event_id.empty()) {
      event.event_id = EventIdOf(*reply);
      event.fields.insert(event.fields.end(), {"event_id", event.event_id});
    }
    return true;
  }
  if (reply) throw std::runtime_error("XADD answered: " + reply->text);
  if (!event.event_id.empty() || event.invalid) return true;
  if (!gives_up_) throw std::runtime_error("an event without an id got no answer, so it cannot be sent again");
  ++counts.given_up;
  return false;
}

}  // namespace sprockets::harness
