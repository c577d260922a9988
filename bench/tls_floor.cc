// Processor time that TLS 1.3 (AES-256-GCM) takes on one side to send and then receive so many
// bytes over a socket pair, and nothing else:
//   tls-floor --bytes N [--repetitions 20]
// The floor under a coordinator that sends and receives as much. Prints one JSON line.
#include <array>
#include <cstdio>
#include <memory>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace {

struct Freer {
  void operator()(SSL* p) const { SSL_free(p); }
  void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(X509* p) const { X509_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Freer>;

// A session with a throw-away certificate on the server's side: only records are measured.
struct Session {
  Owned<SSL_CTX> context;
  Owned<SSL> ssl;
};

Session Open(int socket, bool server) {
  Session session{Owned<SSL_CTX>(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method())),
                  nullptr};
  SSL_CTX* context = session.context.get();
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384");
  if (server) {
    const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
    const Owned<X509> certificate(X509_new());
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    SSL_CTX_use_certificate(context, certificate.get());
    SSL_CTX_use_PrivateKey(context, key.get());
  }
  session.ssl.reset(SSL_new(context));
  SSL_set_fd(session.ssl.get(), socket);
  if ((server ? SSL_accept(session.ssl.get()) : SSL_connect(session.ssl.get())) != 1) {
    session.ssl.reset();
  }
  return session;
}

bool Send(SSL* ssl, std::vector<unsigned char>& piece, std::size_t bytes) {
  while (bytes > 0) {
    std::size_t done = 0;
    if (SSL_write_ex(ssl, piece.data(), std::min(bytes, piece.size()), &done) != 1) return false;
    bytes -= done;
  }
  return true;
}

bool Receive(SSL* ssl, std::vector<unsigned char>& piece, std::size_t bytes) {
  while (bytes > 0) {
    std::size_t done = 0;
    if (SSL_read_ex(ssl, piece.data(), std::min(bytes, piece.size()), &done) != 1) return false;
    bytes -= done;
  }
  return true;
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t bytes = 0;
  int repetitions = 20;
  CLI::App app{"Processor time of TLS records."};
  app.add_option("--bytes", bytes, "in each direction")->required();
  app.add_option("--repetitions", repetitions);
  CLI11_PARSE(app, argc, argv);

  std::array<int, 2> sockets{};
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets.data()) != 0) return 1;
  std::vector<unsigned char> piece(std::size_t{1} << 20);
  const pid_t peer = fork();
  const bool child = peer == 0;
  const Session session = Open(sockets[child ? 1 : 0], !child);
  bool good = session.ssl != nullptr;
  double before = 0;
  for (int i = -1; i < repetitions && good; ++i) {  // -1: warm-up
    if (i == 0) before = CpuSeconds();
    good = child
               ? Receive(session.ssl.get(), piece, bytes) && Send(session.ssl.get(), piece, bytes)
               : Send(session.ssl.get(), piece, bytes) && Receive(session.ssl.get(), piece, bytes);
  }
  const double spent = CpuSeconds() - before;
  if (child) _exit(good ? 0 : 1);
  waitpid(peer, nullptr, 0);
  if (!good) {
    std::fprintf(stderr, "tls-floor: the session failed\n");
    return 1;
  }
  std::printf("{\"cpu_seconds\": %.6f, \"bytes\": %zu, \"repetitions\": %d, \"cipher\": \"%s\"}\n",
              spent / repetitions, bytes, repetitions, SSL_get_cipher(session.ssl.get()));
  return 0;
}
