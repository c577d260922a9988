#include "fedmeta/records/safetensors.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/core/file.h"
#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

std::string File(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header +
         std::string(data_bytes, '\0');
}

/// The message of the refusal; fails when there is none.
std::string Refusal(const std::string& file) {
  const Result<SafeTensors> content = ParseSafeTensors(AsBytes(file));
  EXPECT_FALSE(content.ok());
  if (content.ok()) return {};
  EXPECT_EQ(content.error().code(), ErrorCode::kInvalidArgument);
  return content.error().message();
}

constexpr char kGood[] = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

TEST(SafeTensorsTest, ReadsBackWhatWasWrittenBitForBit) {
  const TemporaryFolder folder;
  const SafeTensors written{
      {{"round", "80"}, {"note", "gr\u00fcn \"quoted\""}},
      {{"w", {2, 3}, {1, -2, 0.1F, std::numeric_limits<float>::infinity(), -0.0F, 1e-40F}},
       {"scalar", {}, {7}},
       {"empty", {0, 4}, {}},
       {"b", {1}, {std::numeric_limits<float>::quiet_NaN()}}}};
  ASSERT_TRUE(WriteSafeTensors(folder.path() / "x.safetensors", written).ok());
  const Result<SafeTensors> read = ReadSafeTensors(folder.path() / "x.safetensors");
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read->metadata, written.metadata);
  ASSERT_EQ(read->tensors.size(), 4u);
  for (const NamedTensor& tensor : written.tensors) {
    const NamedTensor* found = read->Find(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->shape, tensor.shape);
    ASSERT_EQ(found->values.size(), tensor.values.size());
    const std::span<const float> expected(tensor.values), actual(found->values);
    EXPECT_EQ(AsText(AsBytes(actual)), AsText(AsBytes(expected)));
  }
  EXPECT_EQ(read->tensors.front().name, "w");
  EXPECT_EQ(read->tensors.back().name, "b");
}

TEST(SafeTensorsTest, WritesTheBytesOfTheFormat) {
  const TemporaryFolder folder;
  ASSERT_TRUE(
      WriteSafeTensors(folder.path() / "x.safetensors", {{}, {{"a", {2}, {1.0F, 2.0F}}}}).ok());
  const Result<std::string> file = ReadFile(folder.path() / "x.safetensors");
  ASSERT_TRUE(file.ok());
  // The header's 54 characters are padded with blanks to 56, a multiple of 8; then 1.0f and 2.0f.
  ASSERT_EQ(std::string(kGood).size(), 54u);
  EXPECT_EQ(*file, std::string("\x38\0\0\0\0\0\0\0", 8) + kGood + "  " +
                       std::string("\0\0\x80\x3f\0\0\0\x40", 8));
}

TEST(SafeTensorsTest, ReadsAnEmptySet) {
  EXPECT_TRUE(ParseSafeTensors(AsBytes(File("{}      ", 0))).ok());
}

TEST(SafeTensorsTest, RefusesAFileShorterThanTheLength) {
  EXPECT_THAT(Refusal("1234567"), HasSubstr("7 bytes are too few"));
}
TEST(SafeTensorsTest, RefusesAHeaderLongerThanTheFile) {
  EXPECT_THAT(Refusal(std::string("\x40\0\0\0\0\0\0\0{}", 10)), HasSubstr("only 2 follow"));
}
TEST(SafeTensorsTest, RefusesAHugeHeaderLength) {
  EXPECT_THAT(Refusal(std::string(8, '\xff') + "{}"), HasSubstr("18446744073709551615"));
}
TEST(SafeTensorsTest, RefusesAHeaderThatIsNotJson) {
  EXPECT_THAT(Refusal(File("{\"a\":", 0)), HasSubstr("not a JSON object"));
}
TEST(SafeTensorsTest, RefusesAHeaderThatIsNotAnObject) {
  EXPECT_THAT(Refusal(File("[1,2,3]", 0)), HasSubstr("does not start with '{'"));
}
TEST(SafeTensorsTest, RefusesADeeplyNestedHeader) {
  EXPECT_THAT(Refusal(File("{\"a\":" + std::string(1000000, '['), 0)), HasSubstr("JSON"));
}
TEST(SafeTensorsTest, RefusesANameThatComesTwice) {
  EXPECT_THAT(Refusal(File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                           R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                           8)),
              HasSubstr("'a' twice"));
}
TEST(SafeTensorsTest, RefusesAnotherDtype) {
  EXPECT_THAT(Refusal(File(R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})", 8)),
              HasSubstr("'F64', only F32"));
}
TEST(SafeTensorsTest, RefusesANegativeExtent) {
  EXPECT_THAT(Refusal(File(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8)),
              HasSubstr("not a count"));
}
TEST(SafeTensorsTest, RefusesAFractionalExtent) {
  EXPECT_THAT(Refusal(File(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8)),
              HasSubstr("not a count"));
}
TEST(SafeTensorsTest, RefusesAShapeWhoseProductOverflows) {
  // 2^33 * 2^33 * 4 bytes is 0 modulo 2^64.
  EXPECT_THAT(
      Refusal(
          File(R"({"a":{"dtype":"F32","shape":[8589934592,8589934592],"data_offsets":[0,0]}})", 0)),
      HasSubstr("2^40"));
}
TEST(SafeTensorsTest, RefusesTooManyDimensions) {
  EXPECT_THAT(
      Refusal(File(
          R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})",
          4)),
      HasSubstr("17 dimensions"));
}
TEST(SafeTensorsTest, RefusesAShapeThatDoesNotFitItsBytes) {
  EXPECT_THAT(Refusal(File(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8)),
              HasSubstr("8 bytes of data for a shape of 3 values"));
}
TEST(SafeTensorsTest, RefusesOffsetsBeyondTheData) {
  EXPECT_THAT(Refusal(File(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 8)),
              HasSubstr("data_offsets 4, 12 in 8 bytes"));
}
TEST(SafeTensorsTest, RefusesOffsetsThatRunBackwards) {
  EXPECT_THAT(Refusal(File(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[8,4]}})", 8)),
              HasSubstr("data_offsets 8, 4"));
}
TEST(SafeTensorsTest, RefusesOverlappingTensors) {
  EXPECT_THAT(Refusal(File(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                           R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                           12)),
              HasSubstr("begins at byte 4"));
}
TEST(SafeTensorsTest, RefusesAGapBetweenTensors) {
  EXPECT_THAT(Refusal(File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                           R"("b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
                           12)),
              HasSubstr("begins at byte 8"));
}
TEST(SafeTensorsTest, RefusesBytesAfterTheLastTensor) {
  EXPECT_THAT(Refusal(File(kGood, 16)), HasSubstr("end at byte 8, the data at 16"));
}
TEST(SafeTensorsTest, RefusesTruncatedData) {
  EXPECT_THAT(Refusal(File(kGood, 7)), HasSubstr("data_offsets 0, 8 in 7 bytes"));
}
TEST(SafeTensorsTest, RefusesMetadataThatIsNotText) {
  EXPECT_THAT(Refusal(File(R"({"__metadata__":{"round":80}})", 0)), HasSubstr("'round'"));
}
TEST(SafeTensorsTest, RefusesAnUnknownKeyOfATensor) {
  EXPECT_THAT(Refusal(File(R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4],"code":1}})", 4)),
              HasSubstr("unknown key 'code'"));
}
TEST(SafeTensorsTest, ErrorsNameThePath) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "broken.safetensors";
  ASSERT_TRUE(WriteFileAtomically(path, std::string_view("abc")).ok());
  const Result<SafeTensors> content = ReadSafeTensors(path);
  ASSERT_FALSE(content.ok());
  EXPECT_THAT(content.error().message(), HasSubstr("broken.safetensors"));
  EXPECT_EQ(ReadSafeTensors(folder.path() / "none").error().code(), ErrorCode::kNotFound);
}
TEST(SafeTensorsTest, DoesNotReadADeviceThatNeverEnds) {
  EXPECT_THAT(ReadSafeTensors("/dev/zero").error().message(), HasSubstr("not a regular file"));
}
TEST(SafeTensorsTest, DoesNotWriteAShapeThatDoesNotFitTheValues) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "x.safetensors";
  EXPECT_THAT(WriteSafeTensors(path, {{}, {{"a", {3}, {1, 2}}}}).error().message(),
              HasSubstr("2 values for a shape of 3"));
  EXPECT_FALSE(std::filesystem::exists(path));
}
TEST(SafeTensorsTest, DoesNotWriteTwoTensorsOfOneName) {
  const TemporaryFolder folder;
  EXPECT_FALSE(
      WriteSafeTensors(folder.path() / "x", {{}, {{"a", {1}, {1}}, {"a", {1}, {1}}}}).ok());
}

}  // namespace
}  // namespace fedmeta
