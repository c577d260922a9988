#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fedmeta/core/secret_bytes.h"
#include "fedmeta/privacy/shamir.h"

// For this room only.
namespace fedmeta {

/// Puts the members' seeds together from the shares that were opened. Not thread-safe.
class SeedRecovery {
 public:
  explicit SeedRecovery(std::size_t members);

  /// Ranks from 0; `share` is the one that its source signed. Once for each pair.
  void Add(std::size_t source, std::size_t holder, std::string share);
  /// Enough shares of every seed.
  bool Complete() const;

  struct Found {
    std::optional<SecretBytes> seed;
    bool consistent = true;  ///< every set of shares that was tried gave the seed
  };
  /// `matches`: whether a seed is the one that its source committed to. Tries the threshold's
  /// number of holders in a row, then the rows after it, so that shares which do not fit cost
  /// nothing as long as such a row is left without them.
  Found Recover(std::size_t source, const std::function<bool(const SecretBytes&)>& matches);

 private:
  const ShareCombiner& CombinerOf(const std::vector<std::uint32_t>& points);

  struct Held {
    std::vector<std::uint32_t> points;  // holders, as points of the polynomial
    std::vector<std::string> shares;
  };
  std::size_t threshold_;
  std::vector<Held> by_source_;
  std::map<std::vector<std::uint32_t>, ShareCombiner> combiners_;
};

}  // namespace fedmeta
