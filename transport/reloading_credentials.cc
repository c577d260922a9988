#include "fedmeta/transport/reloading_credentials.h"

#include <mutex>
#include <string>
#include <utility>

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpcpp/channel.h>
#include <grpcpp/support/channel_arguments.h>

namespace fedmeta {
namespace {

/// gRPC's C interface reads a server's certificate anew at each handshake; its C++ interface (1.51)
/// offers that only for files that it watches itself, and then takes a key before its certificate.
class ServerTls final : public grpc::ServerCredentials {
 public:
  explicit ServerTls(std::shared_ptr<const IdentitySource> identity)
      : identity_(std::move(identity)),
        credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, &Fetch, this))) {}
  ~ServerTls() override { grpc_server_credentials_release(credentials_); }

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    return static_cast<ServerTls*>(self)->FetchIfNew(config);
  }

  grpc_ssl_certificate_config_reload_status FetchIfNew(
      grpc_ssl_server_certificate_config** config) {
    auto now = identity_->credentials();
    const std::lock_guard lock(mutex_);
    if (now == given_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const std::string key(now->key_pem.Expose());
    const grpc_ssl_pem_key_cert_pair pair = {key.c_str(), now->certificate_pem.c_str()};
    *config = grpc_ssl_server_certificate_config_create(now->trust_pem.c_str(), &pair, 1);
    given_ = std::move(now);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const std::shared_ptr<const IdentitySource> identity_;
  std::mutex mutex_;
  std::shared_ptr<const Credentials> given_;
  grpc_server_credentials* const credentials_;
};

/// gRPC's C++ interface has no hook between handshake and first call; its C interface has.
class ClientTls final : public grpc::ChannelCredentials {
 public:
  explicit ClientTls(std::shared_ptr<const IdentitySource> identity) {
    const auto now = identity->credentials();
    const std::string key(now->key_pem.Expose());
    grpc_ssl_pem_key_cert_pair pair = {key.c_str(), now->certificate_pem.c_str()};
    const grpc_ssl_verify_peer_options check = {
        .verify_peer_callback = &Check,
        .verify_peer_callback_userdata =
            new std::shared_ptr<const IdentitySource>(std::move(identity)),
        .verify_peer_destruct = &Forget};
    credentials_ = grpc_ssl_credentials_create_ex(now->trust_pem.c_str(), &pair, &check, nullptr);
  }
  ~ClientTls() override { grpc_channel_credentials_release(credentials_); }

 private:
  static int Check(const char*, const char* peer_pem, void* identity) {
    const auto& source = *static_cast<std::shared_ptr<const IdentitySource>*>(identity);
    return source->CheckPeer(peer_pem).ok() ? 0 : 1;
  }
  static void Forget(void* identity) {
    delete static_cast<std::shared_ptr<const IdentitySource>*>(identity);
  }

  std::shared_ptr<grpc::Channel> CreateChannelImpl(const std::string& target,
                                                   const grpc::ChannelArguments& given) override {
    grpc_channel_args arguments;
    given.SetChannelArgs(&arguments);
    return grpc::CreateChannelInternal(
        "", grpc_channel_create(target.c_str(), credentials_, &arguments), {});
  }
  grpc::SecureChannelCredentials* AsSecureCredentials() override { return nullptr; }

  grpc_channel_credentials* credentials_ = nullptr;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> ReloadingServerCredentials(
    std::shared_ptr<const IdentitySource> identity) {
  return std::make_shared<ServerTls>(std::move(identity));
}

std::shared_ptr<grpc::ChannelCredentials> CheckingChannelCredentials(
    std::shared_ptr<const IdentitySource> identity) {
  return std::make_shared<ClientTls>(std::move(identity));
}

}  // namespace fedmeta
