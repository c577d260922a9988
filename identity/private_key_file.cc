#include "fedmeta/identity/private_key_file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "fedmeta/core/file.h"

namespace fedmeta {

Status WritePrivateKey(const std::filesystem::path& path, const EVP_PKEY* key) {
  // Memory of this kind is cleansed when it is freed.
  const x509::Buffer buffer(BIO_new(BIO_s_secmem()));
  if (!buffer || PEM_write_bio_PKCS8PrivateKey(buffer.get(), key, nullptr, nullptr, 0, nullptr,
                                               nullptr) != 1) {
    return Error(ErrorCode::kInternal, "OpenSSL cannot write a private key: " + x509::LastError());
  }
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0 && errno == EEXIST) {
    return Error(ErrorCode::kAlreadyExists,
                 path.string() +
                     " exists; a key is never overwritten: move it away or choose another folder");
  }
  if (file < 0)
    return Error(ErrorCode::kInternal,
                 "cannot create " + path.string() + ": " + std::strerror(errno));
  const std::string_view pem = x509::Content(buffer);
  const bool written = ::write(file, pem.data(), pem.size()) == static_cast<ssize_t>(pem.size()) &&
                       ::fsync(file) == 0;
  const int code = errno;
  ::close(file);
  if (written) return {};
  ::unlink(path.c_str());
  return Error(ErrorCode::kInternal, "cannot write " + path.string() + ": " + std::strerror(code));
}

Result<x509::Key> ReadPrivateKey(const std::filesystem::path& path) {
  FEDMETA_ASSIGN_OR_RETURN(std::string pem, ReadFile(path));
  auto key = x509::ParseKey(pem, path);
  OPENSSL_cleanse(pem.data(), pem.size());
  return key;
}

}  // namespace fedmeta
