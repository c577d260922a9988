#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fake_endpoint.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/clock.h"
#include "fedmeta/core/logger.h"
#include "fedmeta/identity/authority.h"
#include "fedmeta/identity/credentials.h"
#include "fedmeta/identity/identity_source.h"
#include "fedmeta/tests/support/temporary_folder.h"
#include "fedmeta/transport/coordinator_link.h"
#include "fedmeta/transport/grpc_server.h"

namespace fedmeta {

/// Keeps "event key=value ..." lines. Thread-safe.
class RecordingLogger final : public Logger {
 public:
  void Log(LogLevel, std::string_view event, std::initializer_list<LogField> fields) override {
    std::string line(event);
    for (const LogField& field : fields) line += " " + std::string(field.key) + "=" + field.value;
    const std::lock_guard lock(mutex_);
    lines_.push_back(line);
  }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

/// Credentials that stay as they are; which peers count, and when that changes, is the test's say.
/// Thread-safe.
class FixedIdentity final : public IdentitySource {
 public:
  explicit FixedIdentity(Credentials credentials)
      : credentials_(std::make_shared<const Credentials>(std::move(credentials))) {}

  std::shared_ptr<const Credentials> credentials() const override {
    const std::lock_guard lock(mutex_);
    return credentials_;
  }
  Status CheckPeer(std::string_view certificates_pem) const override {
    const std::lock_guard lock(mutex_);
    last_peer_ = certificates_pem;
    return peers_;
  }
  /// What the last peer presented.
  std::string last_peer() const {
    const std::lock_guard lock(mutex_);
    return last_peer_;
  }
  void OnChange(std::function<void()> call) override {
    const std::lock_guard lock(call_mutex_);
    call_ = std::move(call);
  }

  void Renew(Credentials credentials) {
    const std::lock_guard lock(mutex_);
    credentials_ = std::make_shared<const Credentials>(std::move(credentials));
  }
  void SetPeers(const Status& peers) {
    {
      const std::lock_guard lock(mutex_);
      peers_ = peers;
    }
    const std::lock_guard lock(call_mutex_);
    if (call_) call_();
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Credentials> credentials_;
  Status peers_;
  mutable std::string last_peer_;
  std::mutex call_mutex_;
  std::function<void()> call_;
};

/// Certificates in a temporary folder, a fake coordinator behind a real server on a free port,
/// links to it.
class TransportTest : public ::testing::Test {
 protected:
  TransportTest() { MakeAuthority("authority"); }
  ~TransportTest() override { server_.reset(); }

  void MakeAuthority(const std::string& folder, const std::string& federation = "heart") {
    const Status status =
        InitAuthority({.dir = folder_ / folder, .federation = federation}, clock_);
    ASSERT_TRUE(status.ok()) << status.error().message();
  }
  /// Signed by the authority in `authority`, at `at` (default: now); trusts it, too.
  Credentials Identity(const std::string& uri, const std::string& authority = "authority",
                       const Clock* at = nullptr) {
    const IdentityUri identity = IdentityUri::Parse(uri).value();
    const bool server = identity.role == IdentityRole::kCoordinator;
    const std::filesystem::path party = folder_ / ("party-" + std::to_string(parties_++));
    const auto request =
        MakeRequest({.dir = party,
                     .identity = identity,
                     .dns_names = server ? std::vector<std::string>{"fed.example.org"}
                                         : std::vector<std::string>{},
                     .ip_addresses = server ? std::vector<std::string>{"127.0.0.1"}
                                            : std::vector<std::string>{}});
    EXPECT_TRUE(request.ok());
    const Clock& when = at != nullptr ? *at : clock_;
    const auto certificate = std::filesystem::path(request.value()).replace_extension(".pem");
    const auto done = SignRequest({.authority_dir = folder_ / authority,
                                   .request = request.value(),
                                   .certificate = certificate},
                                  when);
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().message());
    v1::Identity files;
    files.set_certificate(certificate);
    files.set_key(std::filesystem::path(request.value()).replace_extension(".key"));
    files.set_trust(folder_ / authority / "authority.pem");
    auto credentials = LoadCredentials(files, identity.role, when);
    EXPECT_TRUE(credentials.ok()) << (credentials.ok() ? "" : credentials.error().message());
    return std::move(credentials).value();
  }

  std::shared_ptr<FixedIdentity> Fixed(const std::string& uri,
                                       const std::string& authority = "authority") {
    return std::make_shared<FixedIdentity>(Identity(uri, authority));
  }

  void StartServer(TransportLimits limits = {}, const std::string& listen = "127.0.0.1:0") {
    coordinator_ = Fixed("spiffe://heart/coordinator/main");
    auto server = GrpcServer::Start(
        {.listen = listen, .members = {"spiffe://heart/client/*"}, .limits = limits}, coordinator_,
        endpoint_, server_log_);
    ASSERT_TRUE(server.ok()) << server.error().message();
    server_ = std::move(server).value();
  }
  v1::CoordinatorAddress Address(int port) const {
    v1::CoordinatorAddress address;
    address.set_address("127.0.0.1:" + std::to_string(port));
    return address;
  }
  std::unique_ptr<CoordinatorLink> Link(const v1::CoordinatorAddress& address,
                                        std::shared_ptr<IdentitySource> identity) {
    auto link = MakeGrpcLink(address, std::move(identity), client_log_);
    EXPECT_TRUE(link.ok()) << (link.ok() ? "" : link.error().message());
    return std::move(link).value();
  }
  std::unique_ptr<CoordinatorLink> Link() {
    return Link(Address(server_->port()), Fixed("spiffe://heart/client/site-1"));
  }

  static v1::Report Progress() {
    v1::Report report;
    report.mutable_progress();
    return report;
  }
  static v1::UploadHeader Header(std::span<const std::byte> payload,
                                 const std::string& experiment = "e/maml") {
    v1::UploadHeader header;
    header.mutable_key()->set_experiment(experiment);
    header.set_size(payload.size());
    header.set_sha256(Digest::Of(payload).bytes());
    return header;
  }

  const SystemClock clock_;
  const TemporaryFolder temporary_;
  const std::filesystem::path folder_ = temporary_.path();
  int parties_ = 0;
  RecordingLogger server_log_, client_log_;
  FakeEndpoint endpoint_;
  std::shared_ptr<FixedIdentity> coordinator_;  ///< of the server
  std::unique_ptr<GrpcServer> server_;
};

inline std::string MessageOf(const Status& status) {
  return status.ok() ? "(no error)" : status.error().message();
}
template <typename T>
std::string MessageOf(const Result<T>& result) {
  return result.ok() ? "(no error)" : result.error().message();
}
template <typename T>
std::string_view CodeOf(const T& result) {
  return result.ok() ? "ok" : ErrorCodeName(result.error().code());
}

}  // namespace fedmeta
