#include "fedmeta/configs/compression_checks.h"

#include <cmath>
#include <string>

#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

constexpr char kBlock[] = "federation.compression.";
constexpr char kRingBits[] = "privacy.secure_aggregation.ring_bits";
// Below it the integers of masked sums are rounded at random.
constexpr std::uint32_t kWholeRing = 32;

class CompressionChecks {
 public:
  CompressionChecks(const v1::Experiment& experiment, const SourceMap& places,
                    std::vector<Problem>& problems)
      : keys_(experiment.federation().compression()),
        secure_(experiment.privacy().secure_aggregation()),
        aggregation_(experiment.server().aggregation().name()),
        places_(places),
        problems_(problems) {}

  void Run() {
    CheckRotation();
    CheckBits();
    CheckAggregation();
    CheckRing();
  }

 private:
  bool secure() const { return secure_.mode() == "secure"; }
  bool narrow_ring() const { return secure() && secure_.ring_bits() < kWholeRing; }
  bool few_bits() const { return keys_.has_bits() && keys_.bits() < 32; }
  bool sparse() const { return keys_.has_fraction() && keys_.fraction() < 1; }

  void Report(const std::string& path, const std::string& message) {
    problems_.push_back({places_.Find(path), path + " " + message});
  }

  void CheckRotation() {
    if (!keys_.rotation() || narrow_ring() || (!secure() && few_bits())) return;
    Report(std::string(kBlock) + "rotation",
           "helps where updates are rounded to few bits, which they are not: set it to false, or " +
               (secure() ? std::string(kRingBits) + " below 32"
                         : std::string(kBlock) + "bits below 32"));
  }

  void CheckBits() {
    if (!secure() || !few_bits()) return;
    Report(std::string(kBlock) + "bits",
           "is for plain uploads, each with a step of its own, which sums below masks cannot have: "
           "remove it and set " +
               std::string(kRingBits) + ", nearest is " +
               std::to_string(std::max<std::uint32_t>(8, keys_.bits())));
  }

  void CheckAggregation() {
    if (aggregation_.empty() || aggregation_ == "weighted_mean") return;
    if (!sparse() && !keys_.rotation()) return;
    Report(std::string(kBlock) + (sparse() ? "fraction" : "rotation"),
           "goes with sums alone, and server.aggregation.name " + aggregation_ +
               " compares whole updates: nearest are weighted_mean and " +
               (sparse() ? "fraction 1" : "rotation false"));
  }

  /// Each of a group has at least one step up and one down.
  void CheckRing() {
    if (!narrow_ring() || secure_.ring_bits() < 8) return;
    const double largest = std::exp2(static_cast<int>(secure_.ring_bits()) - 1);
    if (secure_.group_size() < largest) return;
    const auto enough = static_cast<int>(std::floor(std::log2(secure_.group_size()))) + 2;
    Report(kRingBits,
           "is too few for its group_size: group_size x (scale x clip) must be < "
           "2^(ring_bits - 1) with scale x clip >= 1, got " +
               std::to_string(secure_.group_size()) + " >= " + FormatNumber(largest) +
               ": nearest are ring_bits " + std::to_string(enough) + " and group_size " +
               FormatNumber(largest - 1));
  }

  const v1::Compression& keys_;
  const v1::SecureAggregation& secure_;
  const std::string& aggregation_;
  const SourceMap& places_;
  std::vector<Problem>& problems_;
};

}  // namespace

void CheckCompression(const v1::Experiment& experiment, const SourceMap& places,
                      std::vector<Problem>& problems) {
  CompressionChecks(experiment, places, problems).Run();
}

}  // namespace fedmeta
