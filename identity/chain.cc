#include "fedmeta/identity/chain.h"

#include <memory>

#include <openssl/x509_vfy.h>

namespace fedmeta {
namespace {

using Store = std::unique_ptr<X509_STORE, x509::Free<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, x509::Free<X509_STORE_CTX_free>>;

}  // namespace

Status VerifyChain(const std::vector<x509::Certificate>& own,
                   const std::vector<x509::Certificate>& trusted, IdentityRole role, WallTime at) {
  const Store store(X509_STORE_new());
  for (const x509::Certificate& authority : trusted) {
    X509_STORE_add_cert(store.get(), authority.get());
  }
  const auto free_stack = [](STACK_OF(X509) * stack) {
    sk_X509_free(stack);
  };  // the certificates stay ours
  const std::unique_ptr<STACK_OF(X509), decltype(free_stack)> chain(sk_X509_new_null(), free_stack);
  for (std::size_t i = 1; i < own.size(); ++i) sk_X509_push(chain.get(), own[i].get());
  const StoreContext context(X509_STORE_CTX_new());
  if (!chain ||
      X509_STORE_CTX_init(context.get(), store.get(), own.front().get(), chain.get()) != 1) {
    return Error(ErrorCode::kInternal, "OpenSSL cannot verify a certificate: " + x509::LastError());
  }
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, std::chrono::system_clock::to_time_t(at));
  X509_VERIFY_PARAM_set_purpose(parameters, role == IdentityRole::kCoordinator
                                                ? X509_PURPOSE_SSL_SERVER
                                                : X509_PURPOSE_SSL_CLIENT);
  if (X509_verify_cert(context.get()) == 1) return {};
  return Error(ErrorCode::kInvalidArgument,
               X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
}

}  // namespace fedmeta
