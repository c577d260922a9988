#include <fstream>
#include <string>

#include "data_testing.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text.push_back(static_cast<char>(value));
  return text;
}

// Three images of 1 x 2 pixels.
std::string ThreeImages() {
  return Bytes({0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255, 51, 102, 7, 8});
}
std::string ThreeLabels() { return Bytes({0, 0, 8, 1, 0, 0, 0, 3, 2, 0, 1}); }

class IdxTest : public ::testing::Test {
 protected:
  void Put(const std::string& name, const std::string& content) const {
    std::ofstream(folder_.path() / name, std::ios::binary) << content;
  }
  void PutGzip(const std::string& name, const std::string& content) const {
    gzFile file = gzopen((folder_.path() / name).c_str(), "wb");
    gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
    gzclose(file);
  }
  Result<OpenedSource> Open(const std::string& part = "train", bool normalize = true) const {
    v1::IdxSettings settings;
    settings.set_path(folder_.path().string());
    settings.set_part(part);
    settings.set_normalize(normalize);
    return OpenSource(BuiltinData(), PluginOf("idx", settings));
  }
  void ExpectRefused(const std::string& why) const {
    const Result<OpenedSource> opened = Open();
    ASSERT_FALSE(opened.ok());
    EXPECT_THAT(opened.error().message(), HasSubstr(why));
    EXPECT_EQ(ExitCode(opened.error()), 2);
    // Errors leave the site: the name of no file below source.path does.
    EXPECT_THAT(opened.error().message(), Not(HasSubstr("train-images")));
    EXPECT_THAT(opened.error().message(), Not(HasSubstr("train-labels")));
  }
  TemporaryFolder folder_;
};

TEST_F(IdxTest, ReadsPlainFiles) {
  Put("train-images-idx3-ubyte", ThreeImages());
  Put("train-labels-idx1-ubyte", ThreeLabels());
  const Result<OpenedSource> opened = Open();
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  const Dataset& table = *opened->dataset;
  EXPECT_EQ(table.size(), 3U);
  EXPECT_EQ(table.classes(), 3);
  EXPECT_THAT(table.example_shape(), ElementsAre(1, 1, 2));
  EXPECT_EQ(opened->input_shape, table.example_shape());
  EXPECT_EQ(table.label(0), 2);
  EXPECT_EQ(table.label(2), 1);
  std::vector<float> example(2);
  table.Read(1, example);
  EXPECT_THAT(example, ElementsAre(51.0F / 255.0F, 102.0F / 255.0F));
}

TEST_F(IdxTest, ReadsCompressedFilesToTheSameFingerprint) {
  Put("a-images-idx3-ubyte", ThreeImages());
  Put("a-labels-idx1-ubyte", ThreeLabels());
  PutGzip("b-images-idx3-ubyte.gz", ThreeImages());
  PutGzip("b-labels-idx1-ubyte.gz", ThreeLabels());
  const Result<OpenedSource> plain = Open("a");
  const Result<OpenedSource> compressed = Open("b");
  ASSERT_TRUE(plain.ok());
  ASSERT_TRUE(compressed.ok()) << compressed.error().message();
  EXPECT_EQ(plain->fingerprint, compressed->fingerprint);
}

TEST_F(IdxTest, FingerprintFollowsThePixels) {
  Put("a-images-idx3-ubyte", ThreeImages());
  Put("a-labels-idx1-ubyte", ThreeLabels());
  std::string other = ThreeImages();
  other.back() = 9;
  Put("b-images-idx3-ubyte", other);
  Put("b-labels-idx1-ubyte", ThreeLabels());
  EXPECT_NE(Open("a")->fingerprint, Open("b")->fingerprint);
}

TEST_F(IdxTest, LeavesPixelsAsTheyAreWithoutNormalize) {
  Put("train-images-idx3-ubyte", ThreeImages());
  Put("train-labels-idx1-ubyte", ThreeLabels());
  const Result<OpenedSource> opened = Open("train", false);
  ASSERT_TRUE(opened.ok());
  std::vector<float> example(2);
  opened->dataset->Read(0, example);
  EXPECT_THAT(example, ElementsAre(0.0F, 255.0F));
}

TEST_F(IdxTest, ReadsInt16Labels) {
  Put("train-nearest-images-idx3-ubyte", ThreeImages());
  Put("train-labels-idx1-int16", Bytes({0, 0, 11, 1, 0, 0, 0, 3, 1, 2, 0, 0, 0, 1}));
  const Result<OpenedSource> opened = Open();
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  EXPECT_EQ(opened->dataset->label(0), 258);
  EXPECT_EQ(opened->dataset->classes(), 259);
}

TEST_F(IdxTest, FindsUnprefixedFilesByAnEmptyPart) {
  Put("images-idx3-ubyte", ThreeImages());
  Put("labels-idx1-ubyte", ThreeLabels());
  EXPECT_TRUE(Open("").ok());
}

TEST_F(IdxTest, NamesClassesFromTheTableBesideTheImages) {
  Put("train-images-idx3-ubyte", ThreeImages());
  Put("train-labels-idx1-ubyte", ThreeLabels());
  Put("train-classes.tsv", "class_id\talphabet\tcharacter\n0\tA\tx\n1\tA\ty\n2\tB\tx\n");
  const Result<OpenedSource> opened = Open();
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  EXPECT_THAT(opened->dataset->class_names(), ElementsAre("A/x", "A/y", "B/x"));
}

TEST_F(IdxTest, RefusesClassNamesThatDoNotMatchTheLabels) {
  Put("train-images-idx3-ubyte", ThreeImages());
  Put("train-labels-idx1-ubyte", ThreeLabels());
  Put("train-classes.tsv", "class_id\talphabet\tcharacter\n0\tA\tx\n");
  ExpectRefused("names 1 classes, the labels have 3");
}

TEST_F(IdxTest, SaysWhatItLookedForWhereThereIsNone) {
  ExpectRefused("looked for one file train[-...-]images-idx3-ubyte[.gz], found none");
}

TEST_F(IdxTest, RefusesAFolderThatIsNotThere) {
  v1::IdxSettings settings;
  settings.set_path((folder_.path() / "absent").string());
  const Result<OpenedSource> opened = OpenSource(BuiltinData(), PluginOf("idx", settings));
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message(), HasSubstr("absent"));
}

TEST_F(IdxTest, RefusesSeveralPairsWithoutAPart) {
  for (const std::string part : {"train", "t10k"}) {
    Put(part + "-images-idx3-ubyte", ThreeImages());
    Put(part + "-labels-idx1-ubyte", ThreeLabels());
  }
  const Result<OpenedSource> opened = Open("");
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message(), HasSubstr("found 2; choose by source.part"));
  EXPECT_TRUE(Open("t10k").ok());
}

TEST_F(IdxTest, RefusesAnotherMagic) {
  Put("train-images-idx3-ubyte", "PNG" + ThreeImages());
  Put("train-labels-idx1-ubyte", ThreeLabels());
  ExpectRefused("the images: is no IDX file of 3 extents");
}

TEST_F(IdxTest, RefusesInt16Pixels) {
  Put("train-images-idx3-ubyte", Bytes({0, 0, 11, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1}));
  Put("train-labels-idx1-ubyte", ThreeLabels());
  ExpectRefused("int16 pixels");
}

TEST_F(IdxTest, RefusesAShortHeader) {
  Put("train-images-idx3-ubyte", ThreeImages().substr(0, 10));
  Put("train-labels-idx1-ubyte", ThreeLabels());
  ExpectRefused("ends within the header of 16 bytes");
}

TEST_F(IdxTest, RefusesCountsThatDiffer) {
  Put("train-images-idx3-ubyte", ThreeImages());
  Put("train-labels-idx1-ubyte", Bytes({0, 0, 8, 1, 0, 0, 0, 2, 2, 0}));
  ExpectRefused("the labels: are 2, the images 3");
}

TEST_F(IdxTest, RefusesTruncation) {
  std::string images = ThreeImages();
  images.pop_back();
  Put("train-images-idx3-ubyte", images);
  Put("train-labels-idx1-ubyte", ThreeLabels());
  ExpectRefused("the images: truncated: the header declares 3 records");
}

TEST_F(IdxTest, RefusesTruncatedCompression) {
  PutGzip("whole", ThreeImages());
  std::ifstream in(folder_.path() / "whole", std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), {});
  Put("train-images-idx3-ubyte.gz", whole.substr(0, whole.size() - 4));
  Put("train-labels-idx1-ubyte", ThreeLabels());
  ExpectRefused("compression");
}

TEST_F(IdxTest, RefusesAWrongChecksum) {
  PutGzip("whole", ThreeImages());
  std::ifstream in(folder_.path() / "whole", std::ios::binary);
  std::string whole((std::istreambuf_iterator<char>(in)), {});
  whole[whole.size() - 6] = static_cast<char>(whole[whole.size() - 6] ^ 1);
  Put("train-images-idx3-ubyte.gz", whole);
  Put("train-labels-idx1-ubyte", ThreeLabels());
  ExpectRefused("compression");
}

TEST_F(IdxTest, RefusesMoreThanTheFileCanHoldBeforeAllocating) {
  // 2^31 images of 2^15 x 2^15 bytes: 2^61.
  Put("train-images-idx3-ubyte",
      Bytes({0, 0, 8, 3, 128, 0, 0, 0, 0, 0, 128, 0, 0, 0, 128, 0, 1, 2, 3, 4}));
  Put("train-labels-idx1-ubyte", ThreeLabels());
  ExpectRefused("truncated: the header declares 2147483648 records");
}

TEST_F(IdxTest, RefusesExtentsWhoseProductOverflows) {
  Put("train-images-idx3-ubyte",
      Bytes({0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}));
  Put("train-labels-idx1-ubyte", ThreeLabels());
  ExpectRefused("more bytes than can be counted");
}

TEST_F(IdxTest, RefusesTrailingBytes) {
  Put("train-images-idx3-ubyte", ThreeImages() + "x");
  Put("train-labels-idx1-ubyte", ThreeLabels());
  ExpectRefused("bytes follow the last of 3 records");
}

TEST_F(IdxTest, RefusesNegativeLabels) {
  Put("train-images-idx3-ubyte", ThreeImages());
  Put("train-labels-idx1-int16", Bytes({0, 0, 11, 1, 0, 0, 0, 3, 0, 0, 255, 255, 0, 1}));
  ExpectRefused("the labels: at least one is negative");
}

TEST_F(IdxTest, RefusesAnEmptyTable) {
  Put("train-images-idx3-ubyte", Bytes({0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2}));
  Put("train-labels-idx1-ubyte", Bytes({0, 0, 8, 1, 0, 0, 0, 0}));
  ExpectRefused("no examples");
}

}  // namespace
}  // namespace fedmeta
