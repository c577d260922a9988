#include "fedmeta/configs/secure_checks.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

constexpr char kBlock[] = "privacy.secure_aggregation.";
// Coarsest step of an update's coordinates: far below what learning rates make of noise.
constexpr double kCoarsestStep = 1e-3;

}  // namespace

void CheckSecureAggregation(const v1::Experiment& experiment, const SourceMap& places,
                            std::vector<Problem>& problems) {
  const v1::SecureAggregation& keys = experiment.privacy().secure_aggregation();
  if (keys.mode() != "secure") return;
  const auto report = [&](const std::string& path, const std::string& message) {
    problems.push_back({places.Find(path), path + " " + message});
  };
  const std::string minimum = std::to_string(keys.minimum());

  if (keys.ring_bits() > 32 && keys.ring_bits() != 64) {
    report(std::string(kBlock) + "ring_bits",
           "must be 8 to 32 or 64, got " + std::to_string(keys.ring_bits()));
    return;
  }
  const std::string& aggregation = experiment.server().aggregation().name();
  if (!aggregation.empty() && aggregation != "weighted_mean") {
    report("server.aggregation.name", aggregation +
                                          " needs the update of each client, of which secure "
                                          "aggregation shows only sums: use weighted_mean, or " +
                                          kBlock + "mode: plain_robust");
  }
  const v1::Federation& federation = experiment.federation();
  if (federation.has_minimum_cohort() && federation.minimum_cohort() < keys.minimum()) {
    report("federation.minimum_cohort", "must be >= " + std::string(kBlock) + "minimum, got " +
                                            std::to_string(federation.minimum_cohort()) + " < " +
                                            minimum + ": nearest are minimum_cohort " + minimum +
                                            " and mode plain");
  }
  if (keys.group_size() < 2 * keys.minimum() - 1) {
    const auto fitting = std::max<std::uint32_t>(3, (keys.group_size() + 1) / 2);
    report(std::string(kBlock) + "group_size",
           "must be >= 2 x minimum - 1, so that any number of clients can be dealt out to groups, "
           "got " +
               std::to_string(keys.group_size()) + " < " + std::to_string(2 * keys.minimum() - 1) +
               ": nearest are group_size " + std::to_string(2 * keys.minimum() - 1) +
               (fitting < keys.minimum() ? " and minimum " + std::to_string(fitting) : ""));
  }
  // Largest group x clip has to fit half the ring.
  const double step =
      std::ldexp(keys.group_size() * keys.clip(), 1 - static_cast<int>(keys.ring_bits()));
  if (keys.ring_bits() == 32 && step > kCoarsestStep) {
    report(std::string(kBlock) + "clip",
           "x group_size x 2^(1 - ring_bits) is the step in which updates are added up and must be "
           "<= " +
               FormatNumber(kCoarsestStep) + ", got " + FormatNumber(step) + ": nearest are clip " +
               FormatNumber(std::floor(keys.clip() * kCoarsestStep / step)) + " and ring_bits 64");
  }
}

}  // namespace fedmeta
