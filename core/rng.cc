#include "fedmeta/core/rng.h"

#include <cmath>
#include <cstring>
#include <numbers>
#include <string>

#include "fedmeta/core/check.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/philox.h"
#include "fedmeta/core/uniform_below.h"

namespace fedmeta {
namespace {

// Length-prefixed fields, so that no two names share an encoding.
Digest NameDigest(const StreamName& name) {
  std::string text = "fedmeta stream 1";
  const auto append_number = [&text](std::uint64_t number) {
    char raw[8];
    std::memcpy(raw, &number, sizeof(raw));
    text.append(raw, sizeof(raw));
  };
  const auto append_text = [&](std::string_view part) {
    append_number(part.size());
    text.append(part);
  };
  append_number(name.seed);
  append_text(name.purpose);
  append_text(name.client);
  append_number(name.round);
  return Digest::Of(text);
}

}  // namespace

Rng::Rng(const StreamName& name) {
  const std::string digest = NameDigest(name).bytes();
  std::memcpy(key_.data(), digest.data(), 8);
  // Half of the counter is part of the name: streams with colliding keys still differ.
  counter_ = {0, 0, 0, 0};
  std::memcpy(&counter_[2], digest.data() + 8, 8);
}

void Rng::Refill() {
  block_ = Philox4x32(counter_, key_);
  if (++counter_[0] == 0) ++counter_[1];
  used_ = 0;
}

std::uint32_t Rng::Next() {
  if (used_ == 4) Refill();
  return block_[used_++];
}

std::uint64_t Rng::Next64() {
  const std::uint64_t low = Next();
  return low | (std::uint64_t{Next()} << 32);
}

double Rng::Uniform() { return static_cast<double>(Next64() >> 11) * 0x1.0p-53; }

std::uint64_t Rng::Below(std::uint64_t bound) { return UniformBelow(*this, bound); }

double Rng::Normal() {
  const double u = 1.0 - Uniform();
  const double v = Uniform();
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

double Rng::Gamma(double shape) {
  FEDMETA_CHECK(shape > 0);
  if (shape < 1.0) {
    const double boost = std::pow(1.0 - Uniform(), 1.0 / shape);
    return Gamma(shape + 1.0) * boost;
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = Normal();
    const double v = std::pow(1.0 + c * x, 3);
    if (v <= 0) continue;
    const double u = 1.0 - Uniform();
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

}  // namespace fedmeta
