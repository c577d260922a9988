#include "fedmeta/core/state_layout.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

std::vector<Segment> TwoSegments() {
  return {{.name = "theta",
           .rule = ServerRule::kOptimize,
           .scale = 1,
           .tensors = {{"conv1.weight", {2, 3}, TensorKind::kBody},
                       {"empty", {0, 5}, TensorKind::kBuffer},
                       {"head.bias", {}, TensorKind::kHead}}},
          {.name = "control",
           .rule = ServerRule::kAccumulate,
           .scale = 0.1,
           .tensors = {{"conv1.weight", {2, 3}, TensorKind::kBody}}}};
}

constexpr char kText[] =
    "fedmeta layout 1\n"
    "segment theta optimize 1\n"
    "tensor conv1.weight body 2 3\n"
    "tensor empty buffer 0 5\n"
    "tensor head.bias head\n"
    "segment control accumulate 0.1\n"
    "tensor conv1.weight body 2 3\n";

std::string Refusal(std::vector<Segment> segments) {
  const auto layout = StateLayout::Create(std::move(segments));
  return layout.ok() ? "accepted" : layout.error().message();
}
std::string ParseRefusal(std::string_view text) {
  const auto layout = StateLayout::Parse(text);
  return layout.ok() ? "accepted" : layout.error().message();
}

TEST(StateLayoutTest, PlacesTensorsOneAfterTheOther) {
  const StateLayout layout = StateLayout::Create(TwoSegments()).value();
  EXPECT_EQ(layout.size(), 13U);  // 6 + 0 + 1 (a scalar), 6
  EXPECT_EQ(layout.offset(0, 0), 0U);
  EXPECT_EQ(layout.offset(0, 1), 6U);
  EXPECT_EQ(layout.offset(0, 2), 6U);
  EXPECT_EQ(layout.segment_offset(1), 7U);
  EXPECT_EQ(layout.segment_size(0), 7U);
  EXPECT_EQ(layout.segment_size(1), 6U);
}

TEST(StateLayoutTest, NamesACoordinate) {
  const StateLayout layout = StateLayout::Create(TwoSegments()).value();
  EXPECT_EQ(layout.CoordinateName(0), "theta/conv1.weight");
  EXPECT_EQ(layout.CoordinateName(5), "theta/conv1.weight");
  EXPECT_EQ(layout.CoordinateName(6), "theta/head.bias");
  EXPECT_EQ(layout.CoordinateName(12), "control/conv1.weight");
  EXPECT_EQ(layout.CoordinateName(13), "coordinate 13");
}

TEST(StateLayoutTest, TextIsCanonicalAndRoundTrips) {
  const StateLayout layout = StateLayout::Create(TwoSegments()).value();
  EXPECT_EQ(layout.text(), kText);
  const StateLayout read = StateLayout::Parse(kText).value();
  EXPECT_EQ(read.fingerprint(), layout.fingerprint());
  EXPECT_EQ(read.fingerprint(), Digest::Of(kText));
  EXPECT_TRUE(std::ranges::equal(read.segments(), layout.segments()));
}

TEST(StateLayoutTest, EveryDifferenceChangesTheFingerprint) {
  const Digest reference = StateLayout::Create(TwoSegments()).value().fingerprint();
  const auto changed = [&](auto change) {
    auto segments = TwoSegments();
    change(segments);
    return StateLayout::Create(segments).value().fingerprint();
  };
  EXPECT_NE(changed([](auto& s) { s[0].name = "phi"; }), reference);
  EXPECT_NE(changed([](auto& s) { s[0].rule = ServerRule::kMean; }), reference);
  EXPECT_NE(changed([](auto& s) { s[1].scale = 0.2; }), reference);
  EXPECT_NE(changed([](auto& s) { s[0].tensors[0].shape = {3, 2}; }), reference);
  EXPECT_NE(changed([](auto& s) { s[0].tensors[0].kind = TensorKind::kHead; }), reference);
}

TEST(StateLayoutTest, RefusesALayoutWithoutCoordinates) {
  EXPECT_EQ(Refusal({}), "layout: no coordinates");
  EXPECT_EQ(Refusal({{.name = "theta", .tensors = {{"w", {0}, TensorKind::kBody}}}}),
            "layout: no coordinates");
  EXPECT_THAT(Refusal({{.name = "theta", .tensors = {}}}), HasSubstr("has no tensors"));
}

TEST(StateLayoutTest, RefusesNamesThatAreRepeatedOrNotPrintable) {
  auto repeated_segment = TwoSegments();
  repeated_segment[1].name = "theta";
  EXPECT_THAT(Refusal(repeated_segment), HasSubstr("segment name 'theta' is repeated"));
  auto repeated_tensor = TwoSegments();
  repeated_tensor[0].tensors[1].name = "conv1.weight";
  EXPECT_THAT(Refusal(repeated_tensor), HasSubstr("tensor name 'conv1.weight' is repeated"));
  for (const std::string name : {"", "a b", "a\nsegment b mean 1", "\x1B[2J", "caf\xC3\xA9"}) {
    auto segments = TwoSegments();
    segments[0].tensors[0].name = name;
    EXPECT_EQ(Refusal(segments), "layout: a tensor name is empty or not printable");
    segments = TwoSegments();
    segments[0].name = name;
    EXPECT_EQ(Refusal(segments), "layout: a segment name is empty or not printable");
  }
}

TEST(StateLayoutTest, RefusesAScaleThatIsNotFinite) {
  auto segments = TwoSegments();
  segments[1].scale = std::numeric_limits<double>::infinity();
  EXPECT_EQ(Refusal(segments), "layout: scale of segment 'control' is not finite");
}

TEST(StateLayoutTest, RefusesNegativeAndOverflowingShapes) {
  const auto with_shape = [](std::vector<std::int64_t> shape) {
    auto segments = TwoSegments();
    segments[0].tensors[0].shape = std::move(shape);
    return Refusal(segments);
  };
  constexpr std::int64_t kHuge = std::int64_t{1} << 40;
  EXPECT_EQ(with_shape({-1}), "shape: extent must be >= 0, got -1");
  EXPECT_EQ(with_shape({kHuge, 2}), "shape: more than 2^40 elements");
  EXPECT_EQ(with_shape({std::numeric_limits<std::int64_t>::max(),
                        std::numeric_limits<std::int64_t>::max()}),
            "shape: more than 2^40 elements");
  EXPECT_EQ(with_shape({kHuge}), "layout: more than 2^40 coordinates");
}

TEST(StateLayoutTest, RefusesHostileText) {
  const std::string start = "fedmeta layout 1\n";
  EXPECT_THAT(ParseRefusal(""), HasSubstr("line 1: must be 'fedmeta layout 1'"));
  EXPECT_THAT(ParseRefusal("fedmeta layout 2\n"), HasSubstr("line 1: must be 'fedmeta layout 1'"));
  EXPECT_THAT(ParseRefusal(start), HasSubstr("no coordinates"));
  EXPECT_THAT(ParseRefusal(start + "tensor w body 1\n"),
              HasSubstr("line 2: must start with 'segment'"));
  EXPECT_THAT(ParseRefusal(start + "\n"), HasSubstr("must start with"));
  EXPECT_THAT(ParseRefusal(start + "segment s steal 1\n"),
              HasSubstr("line 2: unknown server rule"));
  EXPECT_THAT(ParseRefusal(start + "segment s mean much\n"), HasSubstr("is not a number"));
  EXPECT_THAT(ParseRefusal(start + "segment s mean nan\n"), HasSubstr("is not a number"));
  EXPECT_THAT(ParseRefusal(start + "segment s mean 1\ntensor w arm 1\n"),
              HasSubstr("line 3: unknown kind"));
  EXPECT_THAT(ParseRefusal(start + "segment s mean 1\ntensor w body -1\n"),
              HasSubstr("must be >= 0"));
}

TEST(StateLayoutTest, RefusesTextThatIsNotInCanonicalForm) {
  const std::string start = "fedmeta layout 1\nsegment s mean 1\n";
  EXPECT_EQ(ParseRefusal(start + "tensor w body 2\n"), "accepted");
  for (const std::string line :
       {"tensor w body 2", "tensor  w body 2\n", "tensor w body 2 \n", "tensor w body 02\n",
        "tensor w body 2 x\n", "tensor w body 2 99999999999999999999\n"}) {
    EXPECT_THAT(ParseRefusal(start + line), HasSubstr("canonical")) << line;
  }
  EXPECT_THAT(ParseRefusal("fedmeta layout 1\nsegment s mean 1.0\ntensor w body 2\n"),
              HasSubstr("canonical"));
}

TEST(StateLayoutTest, AnErrorDoesNotRepeatHostileText) {
  EXPECT_THAT(ParseRefusal("fedmeta layout 1\nsegment s \x1B[2J 1\n"),
              ::testing::Not(HasSubstr("\x1B")));
}

}  // namespace
}  // namespace fedmeta
