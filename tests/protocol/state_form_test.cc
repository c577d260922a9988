#include "fedmeta/protocol/state_form.h"

#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

namespace fedmeta {
namespace {

// IEEE 754 binary16: 5 bits of exponent, 10 of mantissa.
TEST(HalfTest, KnownValues) {
  EXPECT_EQ(ToHalf(0.0F), 0x0000);
  EXPECT_EQ(ToHalf(-0.0F), 0x8000);
  EXPECT_EQ(ToHalf(1.0F), 0x3c00);
  EXPECT_EQ(ToHalf(-2.0F), 0xc000);
  EXPECT_EQ(ToHalf(0x1p-14F), 0x0400);  // smallest normal
  EXPECT_EQ(ToHalf(0x1p-24F), 0x0001);  // smallest of all
  EXPECT_EQ(ToHalf(0x1p-26F), 0x0000);
  EXPECT_EQ(ToHalf(65504.0F), 0x7bff);
}

TEST(HalfTest, RoundsToNearestTiesToEven) {
  EXPECT_EQ(ToHalf(1 + 0x1p-11F), 0x3c00);      // halfway, to the even one below
  EXPECT_EQ(ToHalf(1 + 3 * 0x1p-11F), 0x3c02);  // halfway, to the even one above
  EXPECT_EQ(ToHalf(1 + 0x1p-11F + 0x1p-20F), 0x3c01);
}

TEST(HalfTest, WhatIsTooLargeIsTheLargest) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(FromHalf(ToHalf(1e30F)), 65504.0F);
  EXPECT_EQ(FromHalf(ToHalf(-65530.0F)), -65504.0F);
  EXPECT_EQ(FromHalf(ToHalf(kInfinity)), 65504.0F);
  EXPECT_TRUE(std::isnan(FromHalf(ToHalf(std::nanf("")))));
}

TEST(HalfTest, EveryFiniteHalfComesBack) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7c00) == 0x7c00) continue;  // infinities and NaN
    ASSERT_EQ(ToHalf(FromHalf(static_cast<std::uint16_t>(bits))), bits);
  }
}

/// Two steps, a control variate, an average.
StateLayout Layout() {
  return StateLayout::Create(
             {{.name = "theta", .tensors = {{"w", {2}}}},
              {.name = "control", .rule = ServerRule::kAccumulate, .tensors = {{"c", {1}}}},
              {.name = "alpha", .tensors = {{"a", {1}}}},
              {.name = "buffers", .rule = ServerRule::kMean, .tensors = {{"m", {1}}}}})
      .value();
}

TEST(StateFormTest, HalvesStepsAndNothingElse) {
  const StateLayout layout = Layout();
  const std::vector<float> state = {0.1F, -3.3F, 1.234567e-7F, 0.7F, 123456.7F};
  EXPECT_EQ(StateBytes(layout, false), 20U);
  EXPECT_EQ(StateBytes(layout, true), 2 * 2 + 4 + 2 + 4U);
  std::vector<float> whole(5), halved(5);
  ASSERT_TRUE(ReadState(layout, false, WriteState(layout, false, state), whole).ok());
  EXPECT_EQ(whole, state);
  const Bytes sent = WriteState(layout, true, state);
  ASSERT_EQ(sent.size(), StateBytes(layout, true));
  ASSERT_TRUE(ReadState(layout, true, sent, halved).ok());
  for (const std::size_t i : {0U, 1U, 3U}) {
    EXPECT_EQ(halved[i], FromHalf(ToHalf(state[i])));
    EXPECT_NEAR(halved[i], state[i], std::fabs(state[i]) * 0x1p-11F);
  }
  EXPECT_EQ(halved[2], state[2]);
  EXPECT_EQ(halved[4], state[4]);
  EXPECT_EQ(WriteState(layout, true, halved), sent) << "rounding again changes nothing";
}

TEST(StateFormTest, RefusesAnotherSize) {
  const StateLayout layout = Layout();
  std::vector<float> state(5);
  EXPECT_FALSE(ReadState(layout, true, Bytes(13), state).ok());
  EXPECT_FALSE(ReadState(layout, true, Bytes(20), state).ok());
  EXPECT_FALSE(ReadState(layout, false, Bytes(14), state).ok());
}

}  // namespace
}  // namespace fedmeta
