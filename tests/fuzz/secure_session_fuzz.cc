// Every parser of secure aggregation that reads a peer's bytes. The first byte says which; the
// second, whether the rest is the message, or is written over a good one (so that signatures and
// lengths around the change are right).
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fedmeta/core/check.h"
#include "fedmeta/privacy/opening_log.h"
#include "fedmeta/privacy/process_party.h"
#include "fedmeta/privacy/secure_client.h"
#include "fedmeta/privacy/secure_server.h"

namespace {

using namespace fedmeta;

constexpr std::size_t kMembers = 3;
constexpr std::uint64_t kWords = 4;

/// Three clients and a server, before a phase.
class Session {
 public:
  Session() : server_(ServerOptions()) {
    for (std::size_t i = 0; i < kMembers; ++i) {
      latches_.push_back(OpeningsInMemory());
      clients_.push_back(
          SecureClient::Create(
              {.federation = "heart",
               .policy = {.members = {"spiffe://heart/client/*"}},
               .signer = [this, i] { return Result(authority_.Admit(ClientOf(i).value())); },
               .verifier = &authority_.verifier(),
               .latch = latches_.back().get()})
              .value());
      advertised_.push_back(clients_[i].Advertise(Start()).value());
    }
  }

  bool Advertisement(const auto& change) {
    return server_.AddAdvertisement(ClientOf(0), change(advertised_[0])).ok();
  }
  bool Roster(const auto& change) { return clients_[0].Share(change(Advertise())).ok(); }
  bool Shares(const auto& change) {
    return server_.AddShares(ClientOf(0), change(clients_[0].Share(Advertise()).value())).ok();
  }
  bool Delivery(const auto& change) {
    Share();
    const std::string delivery = server_.Delivery(ClientOf(0)).value();
    return clients_[0].Mask(change(delivery), RingVector(RingBits::k32, kWords)).ok();
  }
  bool Receipt(const auto& change) {
    Share();
    const auto masked = MaskOne(0);
    return server_.AddReceipt(ClientOf(0), change(masked.receipt), Digest::Of(masked.vector)).ok();
  }
  bool Complaint(const auto& change) {
    Share();
    return server_.AddComplaint(ClientOf(0), change(MaskOne(0).receipt)).ok();
  }
  bool Request(const auto& change) { return clients_[0].Open(change(Mask())).ok(); }
  bool Opening(const auto& change) {
    return server_.AddOpening(ClientOf(0), change(clients_[0].Open(Mask()).value())).ok();
  }
  bool Snapshot(const auto& change) {
    Mask();
    return SecureServer::Restore(ServerOptions(), change(server_.Snapshot().value())).ok();
  }

 private:
  static ClientId ClientOf(std::size_t i) { return ClientId("site-" + std::to_string(i)); }
  static SecureClient::Start Start() {
    return {.key = {.experiment = ExperimentId("heart/maml"),
                    .purpose = Purpose::kTrain,
                    .round = 1,
                    .attempt = 1,
                    .session = 1},
            .words = kWords};
  }
  SecureServer::Options ServerOptions() const {
    return {.federation = "heart",
            .key = Start().key,
            .bits = RingBits::k32,
            .words = kWords,
            .verifier = &authority_.verifier()};
  }
  std::string Advertise() {
    for (std::size_t i = 0; i < kMembers; ++i)
      FEDMETA_CHECK(server_.AddAdvertisement(ClientOf(i), advertised_[i]).ok());
    return server_.Roster().value();
  }
  void Share() {
    const std::string roster = Advertise();
    for (std::size_t i = 0; i < kMembers; ++i)
      FEDMETA_CHECK(server_.AddShares(ClientOf(i), clients_[i].Share(roster).value()).ok());
  }
  SecureClient::Masked MaskOne(std::size_t i) {
    return clients_[i]
        .Mask(server_.Delivery(ClientOf(i)).value(), RingVector(RingBits::k32, kWords))
        .value();
  }
  std::string Mask() {
    Share();
    for (std::size_t i = 0; i < kMembers; ++i) {
      const auto masked = MaskOne(i);
      FEDMETA_CHECK(
          server_.AddReceipt(ClientOf(i), masked.receipt, Digest::Of(masked.vector)).ok());
    }
    return server_.OpeningRequest().value();
  }

  ProcessAuthority authority_{"heart"};
  SecureServer server_;
  std::vector<std::unique_ptr<OpeningLatch>> latches_;
  std::vector<SecureClient> clients_;
  std::vector<std::string> advertised_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 4, size - 4);
  const std::size_t offset = data[2] + std::size_t{256} * data[3];
  const auto change = [&](const std::string& good) {
    std::string message(rest);
    if (data[1] % 2 == 1) {
      message = good;
      const std::size_t at = offset % good.size();
      const std::size_t over = std::min(rest.size(), good.size() - at);
      std::memcpy(message.data() + at, rest.data(), over);
    }
    return message;
  };
  Session session;
  bool accepted = false;
  const int which = data[0] % 9;
  switch (which) {
    case 0:
      accepted = session.Advertisement(change);
      break;
    case 1:
      accepted = session.Roster(change);
      break;
    case 2:
      accepted = session.Shares(change);
      break;
    case 3:
      accepted = session.Delivery(change);
      break;
    case 4:
      accepted = session.Receipt(change);
      break;
    case 5:
      accepted = session.Complaint(change);
      break;
    case 6:
      accepted = session.Request(change);
      break;
    case 7:
      accepted = session.Opening(change);
      break;
    default:
      accepted = session.Snapshot(change);
      break;
  }
  FEDMETA_CHECK(!(accepted && which == 5));  // a receipt is no complaint
  return 0;
}
