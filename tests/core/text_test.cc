#include "fedmeta/core/text.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace fedmeta {
namespace {

TEST(TextTest, NumbersReadBackAsTheSameBits) {
  for (const double value :
       {0.1, 1e-8, 3.0, -0.0, 1.0 / 3, 5e-324, std::numeric_limits<double>::max()}) {
    EXPECT_EQ(ParseNumber(FormatNumber(value)), value);
    EXPECT_EQ(std::signbit(*ParseNumber(FormatNumber(value))), std::signbit(value));
  }
  EXPECT_EQ(FormatNumber(0.1), "0.1");
  EXPECT_EQ(FormatNumber(1e-8), "1e-08");
  EXPECT_EQ(FormatNumber(3), "3");
}

TEST(TextTest, ANumberIsTheWholeText) {
  for (const char* text :
       {"", " 1", "1 ", "1x", "1,5", "+1", "0x10", "1e999", "nan", "-nan", "one"}) {
    EXPECT_EQ(ParseNumber(text), std::nullopt) << text;
  }
  EXPECT_EQ(ParseNumber("inf"), std::numeric_limits<double>::infinity());
}

TEST(TextTest, CountsCarrySeparators) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(28485), "28,485");
  EXPECT_EQ(FormatCount(1234567), "1,234,567");
}

TEST(TextTest, BytesCarryUnits) {
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1234567), "1.2 MB");
  EXPECT_EQ(FormatBytes(999960), "1.0 MB");
  EXPECT_EQ(FormatBytes(std::numeric_limits<std::uint64_t>::max()), "18446744.1 TB");
}

TEST(TextTest, FindsTheNameThatWasMeant) {
  const std::vector<std::string> names = {"adam", "adagrad", "momentum", "sgd", "yogi"};
  EXPECT_EQ(NearestName("adm", names), "adam");
  EXPECT_EQ(NearestName("momentun", names), "momentum");
  EXPECT_EQ(NearestName("adagard", names), "adagrad");
  EXPECT_EQ(NearestName("lamb-with-cream", names), std::nullopt);
  EXPECT_EQ(NearestName("adam", {}), std::nullopt);
}

TEST(TextTest, JoinKeepsEmptyParts) {
  const std::vector<std::string> parts = {"", "a", ""};
  EXPECT_EQ(Join(parts, ", "), ", a, ");
  EXPECT_EQ(Join({}, ", "), "");
}

}  // namespace
}  // namespace fedmeta
