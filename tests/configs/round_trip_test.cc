#include <algorithm>

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>

#include "fedmeta/tests/configs/config_files.h"

// load(print(load(x))) == load(x)
namespace fedmeta {
namespace {

using google::protobuf::util::MessageDifferencer;

class RoundTrip : public ::testing::Test {
 protected:
  void ExpectExperiment(const std::string& yaml, const std::filesystem::path& file) {
    const auto first = loader_.ParseExperiment(yaml, file);
    ASSERT_TRUE(first.ok()) << first.error().message();
    const std::string printed = PrintYaml(**first, loader_.tables());
    // From another folder, so that a path that stayed relative would be another.
    const auto second = loader_.ParseExperiment(printed, folder_.path() / "resolved.yaml");
    ASSERT_TRUE(second.ok()) << second.error().message() << "\n" << printed;
    MessageDifferencer differencer;
    std::string difference;
    differencer.ReportDifferencesToString(&difference);
    EXPECT_TRUE(differencer.Compare(**first, **second)) << difference << printed;
    EXPECT_EQ(PrintYaml(**second, loader_.tables()), printed);
  }
  TemporaryFolder folder_;
  const Loader loader_{BuiltinPluginTables()};
};

// The example of the documentation, whole.
constexpr const char* kDocumented = R"(
name: fashion-maml
seed: 7                      # everything random in simulation follows from it
model: {name: conv4, filters: 32}
data:
  name: fashion_mnist
  source: {name: idx, path: /usr/share/datasets/fashion-mnist}
  tasks: {name: episodic, ways: 5, shots: 5, queries: 15}
  partition: {scheme: classes, clients: 100, classes_per_client: 6, examples_per_class: 20, labels: own, holdout_clients: 20}
algorithm: {name: maml, inner_learning_rate: 0.05, adaptation_steps: 5, tasks_per_round: 4}
server: {aggregation: {name: weighted_mean}, optimizer: {name: adam, learning_rate: 0.001}}
federation: {rounds: 200, cohort: 10, minimum_cohort: 8, report_deadline: 60s}
privacy: {}
evaluation:
  every: 20
  steps: [0, 1, 5, 10]
  shots: [1, 5]
  baselines: [{name: local}, {name: fedavg, learning_rate: [0.03, 0.1, 0.3]}]
  select: {metric: accuracy_mean, steps: 5}
)";

TEST_F(RoundTrip, OfTheDocumentedExperiment) { ExpectExperiment(kDocumented, "/x/e.yaml"); }
TEST_F(RoundTrip, OfDefaults) {
  ExpectExperiment(kExperiment, "/x/e.yaml");
  ExpectExperiment(kEpisodic, "/x/e.yaml");
}
TEST_F(RoundTrip, OfEveryOptionalKey) {
  ExpectExperiment(
      With(With(kDocumented, "filters: 32", "filters: 32, initial: runs/before, gamma: false"),
           "  name: fashion_mnist\n",
           "  name: fashion_mnist\n  input_shape: [1, 28, 28]\n  classes: 10\n"),
      "/x/e.yaml");
}
TEST_F(RoundTrip, OfATwoDimensionalGrid) {
  ExpectExperiment(With(kExperiment, "inner_learning_rate: 0.1",
                        "inner_learning_rate: [0.1, 1e-8, 30], adaptation_steps: [5, 1]"),
                   "/x/e.yaml");
}
TEST_F(RoundTrip, OfSplitTasks) {
  ExpectExperiment(With(kEpisodic, "{name: episodic, ways: 5, shots: 5, queries: 15}",
                        "{name: split, support_fraction: 0.3}"),
                   "/x/e.yaml");
}
TEST_F(RoundTrip, OfTextThatNeedsQuotes) {
  for (const char* path : {"/a: b", "/with # hash", "/quote\\\"d", "/tab\\t", "/back\\\\slash",
                           "/é", "/trailing ", "/{brace}", "/[list]", "/a, b", "/x: ", "/*star"}) {
    ExpectExperiment(With(kEpisodic, "path: images", "path: \"" + std::string(path) + "\""),
                     "/x/e.yaml");
  }
  for (const char* name : {"yes", "null", "010", "1e3", "true", "-1", "~", ".nan"}) {
    ExpectExperiment(
        With(kEpisodic, "{name: conv4}", "{name: conv4, initial: '" + std::string(name) + "'}"),
        "/x/e.yaml");
  }
  for (const char* name : {"yes", "null", "010", "1e3", "true", "-1", "off"}) {
    ExpectExperiment(With(kExperiment, "name: waves", "name: '" + std::string(name) + "'"),
                     "/x/e.yaml");
  }
}
TEST_F(RoundTrip, OfEveryShippedExperiment) {
  const std::filesystem::path folder =
      std::filesystem::path(FEDMETA_SOURCE_DIR) / "configs/experiments";
  // Whether the data is there is not the loader's business.
  const ScopedVariable variable("FEDMETA_DATA", "/srv/data");
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".yaml") continue;
    SCOPED_TRACE(entry.path());
    std::ifstream stream(entry.path());
    ExpectExperiment({std::istreambuf_iterator<char>(stream), {}}, entry.path());
  }
}

TEST_F(RoundTrip, OfAClientFile) {
  const auto file = folder_.Write("c.yaml", R"(
coordinator: {address: "fed.example.org:443", proxy: "http://me@proxy.local:3128", proxy_password_file: secret, keepalive: 1m30s}
identity: {certificate: site.pem, key: site.key, trust: ca.pem}
data:
  waves: {source: {name: sinusoid, per_client: true}, role: holdout}
  "010": {source: {name: idx, path: images, part: t10k}}
log: {level: debug, format: json}
)");
  const auto first = loader_.LoadClient(file);
  ASSERT_TRUE(first.ok()) << first.error().message();
  const std::string printed = PrintYaml(**first, loader_.tables());
  const auto second = loader_.LoadClient(folder_.Write("elsewhere/c.yaml", printed));
  ASSERT_TRUE(second.ok()) << second.error().message() << printed;
  EXPECT_TRUE(MessageDifferencer::Equals(**first, **second)) << printed;
}
TEST_F(RoundTrip, OfACoordinatorFile) {
  const auto file = folder_.Write("c.yaml", R"(
listen: "0.0.0.0:0"
identity: {certificate: c.pem, key: c.key, trust: ca.pem}
experiment: e.yaml
initial_state: i.safetensors
members: ["spiffe://heart/client/*", spiffe://heart/client/site-1]
out: runs/a
limits: {upload_idle: 500ms, minimum_kib_per_second: 0}
)");
  const auto first = loader_.LoadCoordinator(file);
  ASSERT_TRUE(first.ok()) << first.error().message();
  const std::string printed = PrintYaml(**first, loader_.tables());
  const auto second = loader_.LoadCoordinator(folder_.Write("elsewhere/c.yaml", printed));
  ASSERT_TRUE(second.ok()) << second.error().message() << printed;
  EXPECT_TRUE(MessageDifferencer::Equals(**first, **second)) << printed;
}

TEST(PrintYaml, WritesGridsDurationsAndNumbersAsPeopleDo) {
  const auto experiment = Parse(kDocumented);
  ASSERT_TRUE(experiment.ok());
  const std::string printed = PrintYaml(**experiment, BuiltinPluginTables());
  EXPECT_THAT(printed,
              ::testing::HasSubstr("    - name: fedavg\n      learning_rate: [0.03, 0.1, 0.3]\n"));
  EXPECT_THAT(printed, ::testing::HasSubstr("  report_deadline: 1m\n  join_deadline: 30m\n"));
  EXPECT_THAT(printed, ::testing::HasSubstr("privacy:\n  secure_aggregation:\n    mode: plain\n"));
  EXPECT_THAT(printed, ::testing::StartsWith(
                           "name: fashion-maml\nseed: 7\nmodel:\n  name: conv4\n  filters: 32\n"));
}

}  // namespace
}  // namespace fedmeta
