#include "tests/harness/sample_events.h"

#include <array>
#include <cstdio>
#include <string>
#include <utility>

namespace sprockets::harness {
namespace {

constexpr std::array<const char*, 8> kUsers = {"ada-l", "Bob-42", "grace_h",  "0xdead",
                                               "linus", "alice",  "margaret", "çelik"};
constexpr std::array<const char*, 7> kContributions = {"pr_opened",    "pr_closed",       "pr_review", "issue_opened",
                                                       "issue_closed", "issue_commented", "push"};

std::string Text(uint64_t number) {
  return std::to_string(number);
}

std::string Hex(uint64_t number, int digits) {
  std::array<char, 80> text;
  std::snprintf(text.data(), text.size(), "%0*llx", digits, static_cast<unsigned long long>(number));
  return text.data();
}

std::string User(uint64_t n) {
  return kUsers[n % kUsers.size()];
}
std::string Repository(uint64_t n) {
  return "https://github.com/acme/repo" + Text(n % 6);
}

// Alfred passes X-GitHub-Delivery, a GUID, on some of its streams.
std::string DeliveryGuid(uint64_t n) {
  return "72d3162e-cc78-11e3-81ab-" + Hex(n, 12);
}

Event WithData(std::string stream, std::string json) {
  return {.stream = std::move(stream), .event_id = {}, .fields = {"data", std::move(json)}};
}

Event Bounty(uint64_t n) {
  return WithData("bounty-stream", R"({"github_username": ")" + User(n) + R"(", "amount": )" + Text(10 + n % 90) +
                                       R"(, "url": ")" + Repository(n) + "/issues/" + Text(n) + R"(", "action": ")" +
                                       (n % 5 == 0 ? "PENALTY" : "BOUNTY") + "\"}");
}

Event Issue(uint64_t n) {
  return WithData("issue-stream", R"({"github_username": ")" + User(n) + R"(", "url": ")" + Repository(n) + "/issues/" +
                                      Text(n) + R"(", "claimed": )" + (n % 3 == 0 ? "false" : "true") + "}");
}

Event Automatic(uint64_t n) {
  constexpr std::array<const char*, 5> kTypes = {"IMPACT", "DOC", "BUG", "TEST", "HELP"};
  return WithData("automatic-events-stream", R"({"github_username": ")" + User(n) + R"(", "url": ")" + Repository(n) +
                                                 "/issues/" + Text(n) + R"(", "type": ")" + kTypes[n % kTypes.size()] +
                                                 "\"}");
}

Event Solution(uint64_t n) {
  return WithData("solution-merged-stream", R"({"github_username": ")" + User(n) + R"(", "pull_request_url": ")" +
                                                Repository(n) + "/pull/" + Text(n) + R"(", "merged": )" +
                                                (n % 2 == 0 ? "true" : "false") + "}");
}

Event LiveUpdate(uint64_t n) {
  return WithData("live-update-stream", R"({"github_username": ")" + User(n) + R"(", "message": "moved to #)" +
                                            Text(n % 100) + R"(", "event_type": "Bounty", "time": )" +
                                            Text(1'750'000'000'000 + n) + "}");
}

Event Contribution(uint64_t n) {
  const std::string id = "evt-" + Text(n);
  const std::string kind = kContributions[n % kContributions.size()];
  const std::string who = kind == "pr_review" ? "reviewer_user_id" : "user_id";
  return {.stream = "contributions",
          .event_id = id,
          .fields = {"event_id", id, "data",
                     R"({"id": ")" + id + R"(", "event_name": ")" + kind +
                         R"(", "time": "2025-11-02T23:59:59.5Z", "repository_id": )" + Text(1 + n % 3) +
                         R"(, "repository_name": "acme/repo", "provider": "GITHUB", ")" + kind + R"(": {")" + who +
                         R"(": )" + Text(100 + n % 8) + "}}"}};
}

// One chain transaction with one to eight items, and now and then a line that is no JSON, as the indexer really sends.
Event Indexed(uint64_t n) {
  if (n % 50 == 0)
    return {.stream = "rindexer_producer", .event_id = {}, .fields = {"payload", "{not json " + Text(n)}};
  std::string items;
  for (uint64_t i = 0; i <= n % 8; ++i) {
    if (i > 0) items += ", ";
    items +=
        R"({"from": "0x0", "to": "0x1", "value": ")" + Text(n * 1000 + i) +
        R"(", "transaction_information": {"network": "testnet", "address": "0x1a6950807e33d5bc9975067e6d6b5ea4cd661665", "block_number": "0x)" +
        Hex(n, 1) + R"(", "transaction_hash": "0x)" + Hex(n, 64) + R"(", "log_index": )" + Text(i) + "}}";
  }
  return {.stream = "rindexer_producer",
          .event_id = {},
          .fields = {
              "payload",
              R"({"event_name": "Transfer", "event_signature_hash": "0x03", "network": "testnet", "message_id": "m-)" +
                  Text(n) + R"(", "event_data": [)" + items + "]}"}};
}

}  // namespace

Event SampleEvent(uint64_t n, bool always_id) {
  constexpr std::array kProducers = {Bounty, Contribution, Issue, LiveUpdate, Automatic, Solution, Indexed};
  Event event = kProducers[n % kProducers.size()](n);
  const bool gives_id = always_id || (event.stream == "bounty-stream" || event.stream == "solution-merged-stream");
  if (gives_id && event.event_id.empty()) {
    event.event_id = DeliveryGuid(n);
    event.fields.insert(event.fields.end(), {"event_id", event.event_id});
  }
  return event;
}

}  // namespace sprockets::harness
