// What secure aggregation costs in computing, without any network: one session of real certificates
// (ECDSA P-256, chains, a list of revoked ones), CPU seconds of the server and of a client; and
// masking against its floor, the key stream of AES-256-CTR alone, in turn.
//   secure-core [--members 128] [--words 100000] [--repetitions 5]
// Prints one JSON line of medians. CPU time, because it hardly depends on what else runs.
#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>
#include <openssl/evp.h>

#include "fedmeta/core/check.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/identity/authority.h"
#include "fedmeta/identity/live_identity.h"
#include "fedmeta/identity/revocation.h"
#include "fedmeta/privacy/certificate_party.h"
#include "fedmeta/privacy/mask_stream.h"
#include "fedmeta/privacy/masked_sum.h"
#include "fedmeta/privacy/opening_log.h"
#include "fedmeta/privacy/secret_rng.h"
#include "fedmeta/privacy/secure_client.h"
#include "fedmeta/privacy/secure_server.h"

namespace {

using namespace fedmeta;

double CpuSeconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) std::fprintf(stderr, "%s\n", result.error().message().c_str());
  FEDMETA_CHECK(result.ok());
  return std::move(result).value();
}
void Must(const Status& status) { FEDMETA_CHECK(status.ok()); }

/// Adds the CPU time of a piece of work to a total.
template <typename Work>
auto Timed(double& total, Work&& work) {
  const double begin = CpuSeconds();
  auto result = work();
  total += CpuSeconds() - begin;
  return result;
}

/// An authority, its list, and clients with certificates and keys of their own.
class Members {
 public:
  explicit Members(std::size_t count) {
    folder_ =
        std::filesystem::temp_directory_path() / ("secure-core-" + std::to_string(::getpid()));
    const std::filesystem::path authority = folder_ / "authority";
    Must(InitAuthority({.dir = authority, .federation = "bench"}, clock_));
    Must(Revoke({.authority_dir = authority}, clock_));
    for (std::size_t i = 0; i < count; ++i) {
      const IdentityUri identity{.federation = "bench",
                                 .role = IdentityRole::kClient,
                                 .name = "site-" + std::to_string(i)};
      const auto request = Must(MakeRequest({.dir = folder_ / "sites", .identity = identity}));
      auto certificate = request;
      certificate.replace_extension(".pem");
      Must(SignRequest({.authority_dir = authority, .request = request, .certificate = certificate},
                       clock_));
      v1::Identity files;
      files.set_certificate(certificate);
      files.set_key(std::filesystem::path(request).replace_extension(".key"));
      files.set_trust(authority / "authority.pem");
      files.set_revocation_list(authority / "denylist.pem");
      identities_.push_back(
          Must(LiveIdentity::Open(files, IdentityRole::kClient, clock_, *logger_)));
      verifiers_.push_back(CertificateVerifier(*identities_.back(), clock_));
    }
  }
  ~Members() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  std::size_t size() const { return identities_.size(); }
  ClientId id(std::size_t i) const {
    return ClientId(identities_[i]->credentials()->identity.name);
  }
  const PeerVerifier& verifier(std::size_t i) const { return *verifiers_[i]; }
  SecureClient Client(std::size_t i, OpeningLatch& latch) const {
    return Must(SecureClient::Create({.federation = "bench",
                                      .policy = {.members = {"spiffe://bench/client/*"}},
                                      .signer = CertificateSigner(identities_[i], clock_),
                                      .verifier = verifiers_[i].get(),
                                      .latch = &latch}));
  }

 private:
  SystemClock clock_;
  std::unique_ptr<Logger> logger_ = MakeNullLogger();
  std::filesystem::path folder_;
  std::vector<std::shared_ptr<LiveIdentity>> identities_;
  std::vector<std::unique_ptr<PeerVerifier>> verifiers_;
};

struct Costs {
  double server = 0, client = 0;  // CPU seconds; of all of one session, and of one client in it
};

Costs RunSession(const Members& members, std::uint64_t words) {
  const SecureClient::Start start{
      .key = {.experiment = ExperimentId("bench/maml"), .round = 1, .attempt = 1, .session = 1},
      .plan_hash = Digest::Of("plan"),
      .model_hash = Digest::Of("model"),
      .words = words};
  SecureServer server({.federation = "bench",
                       .key = start.key,
                       .plan_hash = start.plan_hash,
                       .model_hash = start.model_hash,
                       .bits = start.bits,
                       .words = start.words,
                       .verifier = &members.verifier(0)});
  const std::size_t count = members.size();
  Costs costs;
  double clients = 0;
  std::vector<std::unique_ptr<OpeningLatch>> latches;
  std::vector<SecureClient> sites;
  for (std::size_t i = 0; i < count; ++i) {
    latches.push_back(OpeningsInMemory());
    sites.push_back(members.Client(i, *latches.back()));
    const std::string advertised = Timed(clients, [&] { return Must(sites[i].Advertise(start)); });
    Must(Timed(costs.server, [&] { return server.AddAdvertisement(members.id(i), advertised); }));
  }
  const std::string roster = Timed(costs.server, [&] { return Must(server.Roster()); });
  for (std::size_t i = 0; i < count; ++i) {
    const std::string shares = Timed(clients, [&] { return Must(sites[i].Share(roster)); });
    Must(Timed(costs.server, [&] { return server.AddShares(members.id(i), shares); }));
  }
  MaskedSum sum(RingVector(start.bits, words));
  for (std::size_t i = 0; i < count; ++i) {
    const std::string delivery =
        Timed(costs.server, [&] { return Must(server.Delivery(members.id(i))); });
    const auto masked = Timed(
        clients, [&] { return Must(sites[i].Mask(delivery, RingVector(start.bits, words))); });
    Must(Timed(costs.server, [&] {
      // The hash is what staging an upload computes anyway.
      const Status status =
          server.AddReceipt(members.id(i), masked.receipt, Digest::Of(masked.vector));
      return status.ok() ? sum.Add(masked.vector) : status;
    }));
  }
  const std::string request = Timed(costs.server, [&] { return Must(server.OpeningRequest()); });
  for (std::size_t i = 0; i < count; ++i) {
    const std::string opening = Timed(clients, [&] { return Must(sites[i].Open(request)); });
    Must(Timed(costs.server, [&] { return server.AddOpening(members.id(i), opening); }));
  }
  const RingVector opened =
      Timed(costs.server, [&] { return std::move(sum).Unmask(Must(server.Reconstruct())); });
  FEDMETA_CHECK(opened == RingVector(start.bits, words));
  costs.client = clients / static_cast<double>(count);
  return costs;
}

/// The key stream alone, of as many bytes, into a buffer that stays in the cache.
void KeyStream(const SecretBytes& key, std::size_t bytes) {
  static constexpr std::array<unsigned char, 8192> kZeros{};
  std::array<unsigned char, 8192> block;
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  EVP_EncryptInit_ex(context, EVP_aes_256_ctr(), nullptr,
                     reinterpret_cast<const unsigned char*>(key.Expose().data()), kZeros.data());
  for (std::size_t at = 0; at < bytes; at += block.size()) {
    int written = 0;
    EVP_EncryptUpdate(context, block.data(), &written, kZeros.data(),
                      static_cast<int>(std::min(block.size(), bytes - at)));
  }
  EVP_CIPHER_CTX_free(context);
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app("Measures the computing of secure aggregation.");
  std::size_t members_count = 128, words = 100'000;
  int repetitions = 5;
  app.add_option("--members", members_count);
  app.add_option("--words", words);
  app.add_option("--repetitions", repetitions);
  CLI11_PARSE(app, count, arguments);

  const Members members(members_count);
  std::vector<double> server, client, floor, masking;
  for (int i = 0; i < repetitions; ++i) {
    const Costs costs = RunSession(members, words);
    server.push_back(costs.server);
    client.push_back(costs.client);
  }
  const SecretBytes key = SecretRng().Draw(32);
  RingVector vector(RingBits::k32, words);
  for (int i = 0; i < 20 * repetitions; ++i) {
    double floor_seconds = 0, masking_seconds = 0;
    Timed(floor_seconds, [&] {
      for (std::size_t m = 0; m < members_count; ++m) KeyStream(key, 4 * words);
      return 0;
    });
    Timed(masking_seconds, [&] {
      ApplyMasks(std::vector(members_count, MaskTerm{&key, MaskSign::kAdd}), vector);
      return 0;
    });
    floor.push_back(floor_seconds);
    masking.push_back(masking_seconds);
  }
  std::printf(
      "{\"members\": %zu, \"words\": %zu, \"server_s\": %.6f, \"client_s\": %.6f, "
      "\"floor_s\": %.6f, \"masking_s\": %.6f}\n",
      members_count, words, Median(server), Median(client), Median(floor), Median(masking));
  return 0;
}
