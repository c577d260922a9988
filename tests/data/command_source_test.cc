#include <sched.h>
#include <sys/resource.h>

#include "table_testing.h"
#include <gmock/gmock.h>

// Real programs of the site. Each error says how the program ended and nothing of what it wrote.
namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

v1::CommandSettings Shell(const std::string& script) {
  v1::CommandSettings settings;
  for (const char* argument : {"/bin/sh", "-c"}) settings.add_argv(argument);
  settings.add_argv(script);
  return settings;
}

Result<BuiltTable> Build(const v1::CommandSettings& settings,
                         std::uint64_t memory = std::uint64_t{64} << 20U) {
  auto source = OpenSource(BuiltinData(), PluginOf("command", settings));
  if (!source.ok()) return source.error();
  RawTable table = *source->table;
  table.memory_bytes = memory;
  return BuildTable(table, NumberAnd("missing: 'refuse'"));
}

std::string ErrorOf(const v1::CommandSettings& settings) {
  const auto built = Build(settings);
  return built.ok() ? "built" : built.error().message();
}

TEST(CommandSourceTest, ReadsStandardOutput) {
  const auto built = Build(Shell("printf 'ill,chol\\nyes,210\\nno,190\\n'; echo noise >&2"));
  ASSERT_TRUE(built.ok()) << built.error().message();
  ASSERT_TRUE(built->dataset);
  EXPECT_EQ(built->dataset->size(), 2U);
  EXPECT_EQ(ReadRow(*built->dataset, 0)[0], 210);
}
TEST(CommandSourceTest, RunsInItsFolder) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "t.csv") << "ill,chol\nyes,1\n";
  v1::CommandSettings settings = Shell("cat t.csv");
  settings.set_working_directory(folder.path().string());
  const auto built = Build(settings);
  ASSERT_TRUE(built.ok()) << built.error().message();
  EXPECT_EQ(built->report.used, 1U);
}
TEST(CommandSourceTest, AProgramThatFailsIsNotBelieved) {
  EXPECT_THAT(ErrorOf(Shell("printf 'ill,chol\\nyes,210\\n'; exit 3")),
              AllOf(HasSubstr("exit status 3"), Not(HasSubstr("210"))));
  EXPECT_THAT(ErrorOf(Shell("printf 'ill,chol\\nyes,210\\n'; kill -9 $$")),
              HasSubstr("ended by signal 9"));
}
TEST(CommandSourceTest, AProgramThatIsNotThere) {
  v1::CommandSettings settings;
  settings.add_argv("/nowhere/extract");
  EXPECT_THAT(ErrorOf(settings), HasSubstr("cannot start the program: No such file"));
}
TEST(CommandSourceTest, GarbageIsNotShown) {
  EXPECT_THAT(ErrorOf(Shell("head -c 100000 /dev/zero")), HasSubstr("zero bytes"));
  // A message instead of a table: the header has no such columns.
  const auto built = Build(Shell("echo 'permission denied for patient 4711'"));
  ASSERT_TRUE(built.ok()) << built.error().message();
  ASSERT_EQ(built->report.problems.size(), 2U);
  EXPECT_THAT(built->report.problems[0], AllOf(HasSubstr("no column"), Not(HasSubstr("4711"))));
}
TEST(CommandSourceTest, AProgramThatHangsIsKilledWithItsChildren) {
  const TemporaryFolder folder;
  v1::CommandSettings settings = Shell("sleep 1000 & echo $! > child; printf 'ill,chol\\n'; wait");
  settings.set_working_directory(folder.path().string());
  settings.mutable_timeout()->set_seconds(2);
  EXPECT_THAT(ErrorOf(settings), HasSubstr("did not end within"));
  pid_t child = 0;
  std::ifstream(folder.path() / "child") >> child;
  ASSERT_GT(child, 0);
  // SIGKILL has been sent; whoever inherits the child reaps it when it likes.
  const auto alive = [child] {
    std::ifstream stat("/proc/" + std::to_string(child) + "/stat");
    std::string id, name, state;
    stat >> id >> name >> state;
    return !state.empty() && state != "Z" && state != "X";
  };
  while (alive()) ::sched_yield();
}
TEST(CommandSourceTest, AProgramThatClosesItsOutputAndStaysIsKilled) {
  v1::CommandSettings settings = Shell("printf 'ill,chol\\nyes,1\\n'; exec >&-; sleep 1000");
  settings.mutable_timeout()->set_nanos(400'000'000);
  EXPECT_THAT(ErrorOf(settings), HasSubstr("did not end within"));
}
TEST(CommandSourceTest, TooMuchOutputIsAnError) {
  v1::CommandSettings settings = Shell("printf 'ill,chol\\n'; yes yes,1");
  settings.set_output_mib(2);
  EXPECT_THAT(ErrorOf(settings), HasSubstr("wrote more than 2.1 MB and was killed"));
}
TEST(CommandSourceTest, MoreRowsThanMemoryIsAnError) {
  const auto built = Build(Shell("printf 'ill,chol\\n'; yes yes,1"), std::uint64_t{1} << 20U);
  ASSERT_FALSE(built.ok());
  EXPECT_EQ(built.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_THAT(built.error().message(), HasSubstr("resources.memory_mib allows, 1 MiB"));
}
/// The most memory that this process has held so far, in KiB.
std::int64_t PeakKib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST(CommandSourceTest, ALargeStreamNeedsMemoryForItsFeaturesOnly) {
  // 70 MB in 100,000 rows, of which one number and the label are kept: 0.8 MB.
  const std::int64_t before = PeakKib();
  const auto built =
      Build(Shell("printf 'ill,chol,note\\n'; yes \"yes,1,$(printf '%700s' x)\" | head -n 100000"),
            std::uint64_t{2} << 20U);
  ASSERT_TRUE(built.ok()) << built.error().message();
  EXPECT_EQ(built->report.used, 100'000U);
  EXPECT_LT(PeakKib() - before, 16 * 1024);
}

}  // namespace
}  // namespace fedmeta
