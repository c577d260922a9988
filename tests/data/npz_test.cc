#include <cstdlib>

#include "table_testing.h"
#include <gmock/gmock.h>

#include "fedmeta/client/data/npy.h"

namespace fedmeta {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A NPY array of version 1.0 with this header dictionary and content.
Bytes Npy(const std::string& header, const std::string& content) {
  std::string text("\x93NUMPY\x01\x00", 8);
  text.push_back(static_cast<char>(header.size()));
  text.push_back('\0');
  text += header + content;
  const auto bytes = AsBytes(text);
  return {bytes.begin(), bytes.end()};
}

std::string ErrorOf(const std::string& header, const std::string& content) {
  const auto array = NpyArray::Parse(Npy(header, content));
  return array.ok() ? "parsed" : array.error().message();
}

TEST(NpyTest, ReadsBytes) {
  const auto array = NpyArray::Parse(
      Npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 1), }\n", "\x01\xff\x02"));
  ASSERT_TRUE(array.ok()) << array.error().message();
  EXPECT_THAT(array->shape(), ElementsAre(3, 1));
  EXPECT_EQ(array->At(1), 255);
}
TEST(NpyTest, RefusesWhatDoesNotFit) {
  EXPECT_THAT(ErrorOf("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "1234"),
              HasSubstr("another length than its shape"));
  EXPECT_THAT(
      ErrorOf("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }",
              "1234"),
      HasSubstr("shorter than its shape"));
  EXPECT_THAT(ErrorOf("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "1234"),
              HasSubstr("another type"));
  EXPECT_THAT(ErrorOf("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "1234"),
              HasSubstr("another type"));
  EXPECT_THAT(ErrorOf("{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", "1234"),
              HasSubstr("columns first"));
  EXPECT_THAT(ErrorOf("{'descr': '<f4', 'fortran_order': False, }", "1234"), HasSubstr("no shape"));
  EXPECT_FALSE(NpyArray::Parse(Bytes(20)).ok());
}

/// Archives made by Python's zipfile, as NumPy makes them.
class NpzTest : public ::testing::Test {
 protected:
  Result<OpenedSource> Open(const std::string& then) const {
    const std::string path = (folder_.path() / "t.npz").string();
    const std::string script = R"(
import struct, zipfile
path = ")" + path + R"("
def npy(descr, shape, values):
    header = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, shape)
    header += " " * (-(len(header) + 11) % 64) + "\n"
    code = {"<f4": "f", "<f8": "d", "<i4": "i", "<i8": "q", "|u1": "B"}[descr]
    return (b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() +
            struct.pack("<%d%s" % (len(values), code), *values))
def save(method=zipfile.ZIP_STORED, zip64=False, **arrays):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, array in arrays.items():
            with archive.open(name + ".npy", "w", force_zip64=zip64) as member:
                member.write(npy(*array))
x = ("<i8", (3, 4), range(12))
y = ("<i8", (3,), (0, 2, 1))
)" + then + "\n";
    const std::string script_path = (folder_.path() / "make.py").string();
    std::ofstream(script_path) << script;
    EXPECT_EQ(std::system(("python3 " + script_path).c_str()), 0);
    v1::NpzSettings settings;
    settings.set_path(path);
    settings.set_x("x");
    settings.set_y("y");
    return OpenSource(BuiltinData(), PluginOf("npz", settings));
  }
  std::string ErrorOf(const std::string& then) const {
    const auto opened = Open(then);
    return opened.ok() ? "opened" : opened.error().message();
  }
  const TemporaryFolder folder_;
};

TEST_F(NpzTest, ReadsStoredAndDeflatedArraysOfEveryType) {
  for (const char* save : {"save(zip64=True, x=x, y=y)", "save(zipfile.ZIP_DEFLATED, x=x, y=y)",
                           "save(x=('<f4', (3, 4), range(12)), y=('|u1', (3,), (0, 2, 1)))",
                           "save(x=('<f8', (3, 4), range(12)), y=('<i4', (3,), (0, 2, 1)))"}) {
    const auto opened = Open(save);
    ASSERT_TRUE(opened.ok()) << save << ": " << opened.error().message();
    EXPECT_THAT(opened->input_shape, ElementsAre(4));
    EXPECT_EQ(opened->dataset->classes(), 3);
    EXPECT_EQ(opened->dataset->label(1), 2);
    EXPECT_THAT(ReadRow(*opened->dataset, 2), ElementsAre(8, 9, 10, 11));
  }
}
TEST_F(NpzTest, RefusesArraysThatDoNotBelongTogether) {
  EXPECT_THAT(ErrorOf("save(x=x)"), HasSubstr("no member 'y.npy'"));
  EXPECT_THAT(ErrorOf("save(x=x, y=('<i8', (2,), (0, 1)))"), HasSubstr("one an example of 'x'"));
  EXPECT_THAT(ErrorOf("save(x=x, y=('<i8', (3,), (0, -1, 1)))"), HasSubstr("classes from 0"));
  EXPECT_THAT(ErrorOf("save(x=x, y=('<f4', (3,), (0, 1, 1)))"), HasSubstr("whole numbers"));
  EXPECT_THAT(ErrorOf("save(x=('<f4', (3, 1), (1, float('nan'), 2)), y=y)"),
              HasSubstr("not finite"));
}
TEST_F(NpzTest, RefusesADamagedArchive) {
  const std::string damage = "b = bytearray(open(path, 'rb').read()); ";
  EXPECT_THAT(ErrorOf("save(x=x, y=y); " + damage + "b[200] ^= 1; open(path, 'wb').write(b)"),
              HasSubstr("no whole ZIP archive"));
  EXPECT_THAT(ErrorOf("save(zipfile.ZIP_DEFLATED, x=x, y=y); " + damage +
                      "b[60] ^= 255; open(path, 'wb').write(b)"),
              HasSubstr("no whole ZIP archive"));
  EXPECT_THAT(ErrorOf("save(x=x, y=y); " + damage + "open(path, 'wb').write(b[:-30])"),
              HasSubstr("no whole ZIP archive"));
  EXPECT_THAT(ErrorOf("open(path, 'wb').write(b'PK')"), HasSubstr("no whole ZIP archive"));
}

}  // namespace
}  // namespace fedmeta
