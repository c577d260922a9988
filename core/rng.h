#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace fedmeta {

/// Names a random stream: everything random follows from these, never from the order of execution,
/// the attempt or the grouping of clients.
struct StreamName {
  std::uint64_t seed = 0;        ///< of the experiment
  std::string_view purpose;      ///< "tasks", "cohort", "initial_state", ...
  std::string_view client = {};  ///< empty for the server
  std::uint64_t round = 0;
};

/// Counter-based generator (Philox4x32-10, Salmon et al. 2011), keyed by the SHA-256 of its
/// StreamName. Seeded and reproducible, so never a source of keys, masks or privacy noise: those
/// take SecretRng, a distinct type. Satisfies UniformRandomBitGenerator; the distributions below
/// are ours, because the standard's differ between libraries. Not thread-safe.
class Rng {
 public:
  using result_type = std::uint32_t;
  explicit Rng(const StreamName& name);

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return 0xffffffffU; }
  result_type operator()() { return Next(); }

  std::uint32_t Next();
  std::uint64_t Next64();
  /// In [0, 1), 53 bits.
  double Uniform();
  double Uniform(double low, double high) { return low + (high - low) * Uniform(); }
  /// In [0, bound), unbiased; bound > 0.
  std::uint64_t Below(std::uint64_t bound);
  /// Standard normal (Box-Muller).
  double Normal();
  /// Gamma(shape, 1) (Marsaglia and Tsang 2000); shape > 0.
  double Gamma(double shape);

  template <typename T>
  void Shuffle(std::span<T> items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[Below(i)]);
  }

 private:
  void Refill();
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> block_{};
  unsigned used_ = 4;
};

}  // namespace fedmeta
