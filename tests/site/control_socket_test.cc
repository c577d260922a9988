#include "fedmeta/site/control_socket.h"

#include <atomic>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {
namespace {

using testing::HasSubstr;

class ControlSocketTest : public testing::Test {
 protected:
  Result<std::unique_ptr<ControlSocket>> Start(std::function<bool(uid_t)> allowed = {}) {
    return ControlSocket::Start(
        {.path = path_,
         .answer = [](std::string_view request,
                      const std::string& who) { return who + " said " + std::string(request); },
         .allowed = std::move(allowed)});
  }
  TemporaryFolder folder_;
  std::filesystem::path path_ = ControlSocketPath(folder_.path());
};

TEST_F(ControlSocketTest, AnswersAndKnowsWhoAsks) {
  const auto socket = Start().value();
  const auto answer = AskSite(path_, "hello");
  ASSERT_TRUE(answer.ok()) << answer.error().message();
  EXPECT_THAT(*answer, HasSubstr("user " + std::to_string(::geteuid())));
  EXPECT_THAT(*answer, HasSubstr("said hello"));
}

TEST_F(ControlSocketTest, IsOpenToItsOwnerOnly) {
  const auto socket = Start().value();
  struct stat entry {};
  ASSERT_EQ(::stat(path_.c_str(), &entry), 0);
  EXPECT_EQ(entry.st_mode & 0777U, 0600U);
}

TEST_F(ControlSocketTest, AnswersNobodyElse) {
  const auto socket = Start([](uid_t) { return false; }).value();
  EXPECT_THAT(AskSite(path_, "hello").value(), HasSubstr("permission_denied"));
}

// A process of another user, where the folder and the socket would let it in.
TEST_F(ControlSocketTest, RefusesAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const auto socket = Start().value();
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(2);
    const auto answer = AskSite(path_, "hello");
    ::_exit(answer.ok() && answer->find("permission_denied") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(ControlSocketTest, ReplacesWhatAKilledProcessLeft) {
  ASSERT_TRUE(Start().ok());
  { const auto first = Start().value(); }
  EXPECT_FALSE(std::filesystem::exists(path_));
  ASSERT_EQ(::mknod(path_.c_str(), S_IFSOCK | 0600, 0), 0) << "a socket that nobody listens on";
  const auto socket = Start().value();
  EXPECT_TRUE(AskSite(path_, "hello").ok());
}

TEST_F(ControlSocketTest, ManyAskAtATime) {
  const auto socket = Start().value();
  std::vector<std::thread> callers;
  std::atomic<int> answered = 0;
  for (int i = 0; i < 16; ++i) {
    callers.emplace_back([&] {
      for (int k = 0; k < 10; ++k) answered += AskSite(path_, "hello").ok() ? 1 : 0;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(answered, 160);
}

TEST_F(ControlSocketTest, AnEndlessRequestIsCutOff) {
  const auto socket = Start().value();
  EXPECT_FALSE(AskSite(path_, std::string(100'000, 'x')).ok());
  EXPECT_TRUE(AskSite(path_, "hello").ok()) << "and others are still answered";
}

TEST_F(ControlSocketTest, SaysThatNoClientRuns) {
  EXPECT_EQ(AskSite(path_, "hello").error().code(), ErrorCode::kNotFound);
}

TEST_F(ControlSocketTest, LiesInFoldersWithLongNames) {
  path_ = ControlSocketPath(folder_.path() / std::string(120, 'x'));
  ASSERT_TRUE(std::filesystem::create_directory(path_.parent_path()));
  const auto socket = Start().value();
  EXPECT_TRUE(AskSite(path_, "hello").ok());
}

}  // namespace
}  // namespace fedmeta
