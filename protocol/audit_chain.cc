#include "fedmeta/protocol/audit_chain.h"

#include "fedmeta/core/bytes.h"

namespace fedmeta {

Digest NextAuditHash(const Digest& previous, const Digest& text) {
  constexpr std::string_view kDomain("fedmeta audit entry v1\0", 23);
  DigestBuilder builder;
  builder.Add(AsBytes(kDomain));
  builder.Add(AsBytes(std::string_view(previous.bytes())));
  builder.Add(AsBytes(std::string_view(text.bytes())));
  return builder.Finish();
}

Result<Digest> FollowAuditChain(Digest from, std::string_view digests) {
  if (digests.size() % Digest::kSize != 0)
    return Error(ErrorCode::kInvalidArgument, "audit: digests of another length");
  for (; !digests.empty(); digests.remove_prefix(Digest::kSize)) {
    FEDMETA_ASSIGN_OR_RETURN(const Digest text,
                             Digest::FromBytes(digests.substr(0, Digest::kSize)));
    from = NextAuditHash(from, text);
  }
  return from;
}

}  // namespace fedmeta
