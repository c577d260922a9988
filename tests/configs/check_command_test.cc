#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "fedmeta/tests/configs/config_files.h"
#include "fedmeta/tests/configs/run_program.h"

// `fedmeta check` and `fedmeta explain` as a user calls them.
namespace fedmeta {
namespace {

using ::testing::HasSubstr;

/// Listens on a port of its own for the length of a test.
class BusyPort {
 public:
  BusyPort() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(socket_, 1), 0);
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~BusyPort() { ::close(socket_); }
  BusyPort(const BusyPort&) = delete;
  BusyPort& operator=(const BusyPort&) = delete;
  int port() const { return port_; }

 private:
  int socket_;
  int port_ = 0;
};

class CheckCommandTest : public ::testing::Test {
 protected:
  std::string CoordinatorFile(const std::string& listen) {
    folder_.Write("experiment.yaml", kExperiment);
    return folder_.Write("coordinator.yaml",
                         "listen: \"" + listen +
                             "\"\n"
                             "identity: {certificate: c.pem, key: c.key, trust: ca.pem}\n"
                             "experiment: experiment.yaml\n"
                             "initial_state: initial.safetensors\n"
                             "members: [\"spiffe://heart/client/*\"]\n");
  }
  TemporaryFolder folder_;
};

TEST_F(CheckCommandTest, SaysWhatAnExperimentIs) {
  const Outcome outcome = RunProgram({"check", folder_.Write("e.yaml", kExperiment)});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("e.yaml: experiment file, keys and values are valid\n"));
  EXPECT_THAT(outcome.out, HasSubstr("  rounds       20, evaluated at the end\n"));
  EXPECT_THAT(outcome.out, HasSubstr("  clients      12 (2 held out, 0 for validation)\n"));
  EXPECT_EQ(outcome.err, "");
}
TEST_F(CheckCommandTest, WritesNumbersForScripts) {
  const Outcome outcome = RunProgram(
      {"check", folder_.Write("e.yaml", kExperiment), "federation.rounds=1234", "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const auto object = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(object["kind"], "experiment");
  EXPECT_EQ(object["valid"], true);
  EXPECT_EQ(object["facts"]["rounds"], 1234);
  EXPECT_EQ(object["facts"]["clients"]["holdout"], 2);
}
TEST_F(CheckCommandTest, RefusesABadExperimentWithTheContractsExitCode) {
  const std::string file = folder_.Write("e.yaml", With(kExperiment, "cohort: 5", "cohort: 0"));
  const Outcome outcome = RunProgram({"check", file});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "fedmeta: " + file +
                             ":11:11: federation.cohort must be >= 1, got 0\n1 problem. Nothing "
                             "was started.\n");
}
TEST_F(CheckCommandTest, RefusesAFileThatIsNotThere) {
  const Outcome outcome = RunProgram({"check", (folder_.path() / "none.yaml").string()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("none.yaml"));
}
TEST_F(CheckCommandTest, RefusesDataThatIsNotThere) {
  const Outcome outcome = RunProgram({"check", folder_.Write("e.yaml", kEpisodic)});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("data.source"));
  EXPECT_THAT(outcome.err, HasSubstr((folder_.path() / "images").string()));
}
TEST_F(CheckCommandTest, RefusesAWarmStartThatIsNotThere) {
  const Outcome outcome = RunProgram(
      {"check",
       folder_.Write("e.yaml", With(kExperiment, "{name: mlp}", "{name: mlp, initial: runs/a}"))});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err,
            "fedmeta: model.initial: there is no " + (folder_.path() / "runs/a").string() + "\n");
}
TEST_F(CheckCommandTest, OpensEverySourceOfAClient) {
  const std::string file = folder_.Write("c.yaml",
                                         "data:\n  waves: {source: {name: sinusoid}}\n"
                                         "  images: {source: {name: idx, path: images}}\n");
  const Outcome outcome = RunProgram({"check", file});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.out, HasSubstr("  data.waves   sinusoid, examples of shape 1\n"));
  EXPECT_THAT(outcome.err, HasSubstr("fedmeta: data.images: "));
}
TEST_F(CheckCommandTest, RefusesOverridesOfAClientFile) {
  const Outcome outcome =
      RunProgram({"check", folder_.Write("c.yaml", "data: {w: {source: {name: sinusoid}}}\n"),
                  "log.level=debug"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err,
              HasSubstr("only an experiment takes key.path=value, got 'log.level=debug'"));
}
TEST_F(CheckCommandTest, FindsEverythingWrongAroundACoordinator) {
  const BusyPort busy;
  folder_.Write("runs", "a file where the folder should be");
  const Outcome outcome =
      RunProgram({"check", CoordinatorFile("127.0.0.1:" + std::to_string(busy.port()))});
  // The first error is the port: an environment error.
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err,
              HasSubstr("Address already in use; stop what uses the port or choose another\n"));
  EXPECT_THAT(outcome.err, HasSubstr("fedmeta: identity: "));
  EXPECT_THAT(outcome.err,
              HasSubstr("fedmeta: out: " + (folder_.path() / "runs").string() + " is no folder"));
  EXPECT_THAT(outcome.err, HasSubstr("fedmeta: initial_state: "));
}
TEST_F(CheckCommandTest, FindsAFreePort) {
  const Outcome outcome = RunProgram({"check", CoordinatorFile("127.0.0.1:0"), "--json"});
  const auto object = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(object["facts"]["listen"], "127.0.0.1:0");
  EXPECT_GT(object["facts"]["out"]["free_bytes"], 0);
  EXPECT_EQ(object["valid"], false);
  EXPECT_EQ(object["errors"].size(), 2) << object;  // certificates and initial state
}
TEST_F(CheckCommandTest, RefusesAHostThatIsUnknown) {
  const Outcome outcome = RunProgram({"check", CoordinatorFile("nowhere.invalid:8443")});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("listen: cannot resolve 'nowhere.invalid'"));
}

TEST(ExplainCommandTest, Explains) {
  const Outcome outcome = RunProgram({"explain", "federation.cohort"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("  Clients asked in each round.\n"));
}
TEST(ExplainCommandTest, RefusesAnUnknownKey) {
  const Outcome outcome = RunProgram({"explain", "federation.cohrt"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("did you mean 'federation.cohort'?"));
}

}  // namespace
}  // namespace fedmeta
