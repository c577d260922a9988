#include "fedmeta/records/run_folder.h"

#include <limits>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fedmeta/core/digest.h"
#include "fedmeta/core/file.h"
#include "fedmeta/records/report.h"
#include "fedmeta/records/safetensors.h"
#include "fedmeta/tests/records/sample_run.h"
#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {
namespace {

using ::nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

std::string Read(const std::filesystem::path& path) {
  Result<std::string> text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << path;
  return text.ok() ? std::move(text).value() : std::string();
}
/// Every line as JSON; fails on a half line.
std::vector<json> Lines(const std::filesystem::path& path) {
  const std::string text = Read(path);
  EXPECT_TRUE(text.empty() || text.back() == '\n') << path << " ends with a half line";
  std::vector<json> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    lines.push_back(json::parse(text.substr(begin, end - begin), nullptr, false));
    EXPECT_TRUE(lines.back().is_object()) << text.substr(begin, end - begin);
    begin = end + 1;
  }
  return lines;
}
std::vector<std::string> Files(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      names.push_back(std::filesystem::relative(entry.path(), folder).string());
  return names;
}

class RunFolderTest : public ::testing::Test {
 protected:
  RunFolder::Options Options() const {
    return {.dir = folder_.path() / "run",
            .experiment_yaml = "name: fashion-maml\n",
            .manifest = {.protocol = "1.0",
                         .blas = "OpenBLAS",
                         .libtorch = "1.13.1",
                         .threads = 2,
                         .seed = 7,
                         .data_fingerprints = {{"fashion_mnist", "abc"}},
                         .mode = "simulation"}};
  }
  std::unique_ptr<RunFolder> Create() {
    auto folder = RunFolder::Create(Options(), clock_);
    EXPECT_TRUE(folder.ok()) << folder.error().message();
    return std::move(folder).value();
  }

  const TemporaryFolder folder_;
  const std::filesystem::path dir_ = folder_.path() / "run";
  ManualClock clock_;
  const SampleRun run_{.rounds = 20, .sites = 12, .holdout_sites = 12};
};

TEST_F(RunFolderTest, HoldsEveryFileOfTheContract) {
  ASSERT_TRUE(PlaySampleRun(run_, *Create(), clock_).ok());
  EXPECT_THAT(Files(dir_),
              IsSupersetOf({"experiment.yaml", "manifest.json", "rounds.jsonl", "evaluation.jsonl",
                            "metrics.csv", "summary.json", "load.py", "report.html",
                            "checkpoints/round-20.safetensors", "checkpoints/best.safetensors",
                            "checkpoints/final.safetensors"}));
  EXPECT_EQ(Read(dir_ / "experiment.yaml"), "name: fashion-maml\n");
}

TEST_F(RunFolderTest, RoundLinesSayWhatTheRecordsSaid) {
  const auto folder = Create();
  ASSERT_TRUE(folder->Started(SampleHeading(run_)).ok());
  RoundRecord record = SampleRound(run_, 8);
  record.dropped = {{"site-03", "upload", "gone"}};
  record.metrics.diverged_tasks = 3;
  ASSERT_TRUE(folder->RoundDone(record).ok());
  const std::vector<json> lines = Lines(dir_ / "rounds.jsonl");
  ASSERT_EQ(lines.size(), 1u);
  const json& line = lines[0];
  EXPECT_EQ(line["leg"], "maml");
  EXPECT_EQ(line["round"], 8);
  EXPECT_EQ(line["attempt"], 1);
  EXPECT_EQ(line["committed"], true);
  EXPECT_FALSE(line.contains("reason"));
  EXPECT_EQ(line["cohort"].get<std::vector<std::string>>(), record.cohort);
  EXPECT_EQ(line["reported"].get<std::vector<std::string>>(), record.reported);
  EXPECT_EQ(line["dropped"],
            json::array({{{"client", "site-03"}, {"phase", "upload"}, {"reason", "gone"}}}));
  EXPECT_EQ(line["inner_diverged"], 3);
  EXPECT_EQ(line["query_loss"], record.metrics.query_loss / record.metrics.examples);
  EXPECT_EQ(line["query_accuracy"], record.metrics.correct / record.metrics.examples);
  EXPECT_EQ(line["bytes_down"], record.bytes_down);
  EXPECT_EQ(line["bytes_up"], record.bytes_up);
  EXPECT_EQ(line["wall_s"], record.wall_s);
  EXPECT_EQ((line["parts"].get<std::map<std::string, double>>()), record.parts_s);
}

TEST_F(RunFolderTest, AbandonedAttemptsCarryTheirReason) {
  const auto folder = Create();
  ASSERT_TRUE(
      folder->RoundDone({.leg = "maml", .round = 3, .committed = false, .reason = "too few"}).ok());
  const json line = Lines(dir_ / "rounds.jsonl").at(0);
  EXPECT_EQ(line["committed"], false);
  EXPECT_EQ(line["reason"], "too few");
  EXPECT_EQ(Read(dir_ / "metrics.csv").find("\n3,"), std::string::npos);
}

TEST_F(RunFolderTest, FiguresThatAreNotFiniteBecomeNull) {
  const auto folder = Create();
  RoundRecord record = SampleRound(run_, 1);
  record.metrics.query_loss = std::numeric_limits<double>::infinity();
  record.metrics.correct = std::numeric_limits<double>::quiet_NaN();
  record.wall_s = std::numeric_limits<double>::quiet_NaN();
  ASSERT_TRUE(folder->RoundDone(record).ok());
  record.metrics = {};  // nobody measured anything: no mean
  ASSERT_TRUE(folder->RoundDone(record).ok());
  for (const json& line : Lines(dir_ / "rounds.jsonl")) {
    EXPECT_TRUE(line["query_loss"].is_null());
    EXPECT_TRUE(line["query_accuracy"].is_null());
    EXPECT_TRUE(line["wall_s"].is_null());
  }
}

TEST_F(RunFolderTest, EvaluationHasOneLineAClientAndCell) {
  const auto folder = Create();
  const std::vector<EvaluationRecord> records = SampleEvaluation(run_, 1, 10, true);
  ASSERT_TRUE(folder->Evaluated(records).ok());
  const std::vector<json> lines = Lines(dir_ / "evaluation.jsonl");
  ASSERT_EQ(lines.size(), records.size() * records[0].cells.size());
  std::size_t i = 0;
  for (const EvaluationRecord& record : records)
    for (const EvaluationCell& cell : record.cells) {
      const json& line = lines[i++];
      EXPECT_EQ(line["leg"], "fedavg-2");
      EXPECT_EQ(line["method"], "fedavg");
      EXPECT_EQ(line["round"], 10);
      EXPECT_EQ(line["holdout"], true);
      EXPECT_EQ(line["client"], record.client.empty() ? json() : json(record.client));
      EXPECT_EQ(line["steps"], cell.steps);
      EXPECT_EQ(line["shots"], cell.shots);
      EXPECT_EQ(line["learning_rate"], cell.learning_rate);
      EXPECT_EQ(line["loss"], cell.sums.mean_loss / cell.sums.clients);
      EXPECT_EQ(line["accuracy"], cell.sums.mean_correct / cell.sums.clients);
      EXPECT_EQ(line["examples"], cell.sums.examples);
      EXPECT_EQ(line.contains("clients"), record.client.empty());
    }
}

TEST_F(RunFolderTest, RegressionHasNoAccuracies) {
  const SampleRun regression{.rounds = 20, .holdout_sites = 12, .classification = false};
  ASSERT_TRUE(PlaySampleRun(regression, *Create(), clock_).ok());
  for (const char* file : {"rounds.jsonl", "evaluation.jsonl", "metrics.csv", "summary.json"})
    EXPECT_EQ(Read(dir_ / file).find("accuracy"), std::string::npos) << file;
}

TEST_F(RunFolderTest, MetricsAreTidyRows) {
  const auto folder = Create();
  ASSERT_TRUE(folder->LegStarted("maml-1", "maml", 5).ok());
  RoundRecord round{.leg = "maml-1", .round = 2};
  round.metrics = {.examples = 4, .query_loss = 6, .correct = 3};
  ASSERT_TRUE(folder->RoundDone(round).ok());
  EvaluationRecord record{.leg = "maml-1",
                          .method = "maml",
                          .round = 2,
                          .client = "a,\"b\"",
                          .holdout = true,
                          .cells = {}};
  record.cells = {{.shots = 1,
                   .learning_rate = 0.1,
                   .steps = 5,
                   .sums = {.examples = 8, .clients = 1, .mean_loss = 0.5, .mean_correct = 0.75}}};
  ASSERT_TRUE(folder->Evaluated({&record, 1}).ok());
  EXPECT_EQ(Read(dir_ / "metrics.csv"),
            "round,split,client,method,steps,metric,value,leg,shots,learning_rate\n"
            "2,train,,maml,,loss,1.5,maml-1,,\n"       // 6 / 4
            "2,train,,maml,,accuracy,0.75,maml-1,,\n"  // 3 / 4
            "2,train,,maml,,examples,4,maml-1,,\n"
            "2,test,\"a,\"\"b\"\"\",maml,5,loss,0.5,maml-1,1,0.1\n"
            "2,test,\"a,\"\"b\"\"\",maml,5,accuracy,0.75,maml-1,1,0.1\n"
            "2,test,\"a,\"\"b\"\"\",maml,5,examples,8,maml-1,1,0.1\n");
}

TEST_F(RunFolderTest, SummaryHasTheFinalFiguresByStepsAndShots) {
  ASSERT_TRUE(PlaySampleRun(run_, *Create(), clock_).ok());
  const RunSummary expected = SampleSummary(run_);
  const json summary = json::parse(Read(dir_ / "summary.json"));
  EXPECT_EQ(summary["status"], "completed");
  EXPECT_EQ(summary["rounds"], 20);
  EXPECT_EQ(summary["parameters"], 28485);
  EXPECT_EQ(summary["wall_s"], 184);
  EXPECT_EQ(summary["reports"], expected.reports);
  EXPECT_EQ(summary["best_round"], 18);
  for (const FinalCell& cell : expected.main.cells) {
    const std::string shots = std::to_string(cell.shots), steps = std::to_string(cell.steps);
    const json& object =
        cell.tuned ? summary["tuned_by_shots"][shots] : summary["final_by_shots"][shots][steps];
    EXPECT_EQ(object["accuracy_mean"], cell.accuracy_mean);
    EXPECT_EQ(object["accuracy_std"], *cell.accuracy_std);
    EXPECT_EQ(object["accuracy_worst_decile"], *cell.accuracy_worst_decile);
    EXPECT_EQ(object["loss_mean"], cell.loss_mean);
    EXPECT_EQ(object["clients"], 12);
  }
  EXPECT_EQ(summary["final"], summary["final_by_shots"]["1"]);
  EXPECT_EQ(summary["tuned"], summary["tuned_by_shots"]["1"]);
  EXPECT_EQ(summary["baselines"]["fedavg"]["leg"], "fedavg-2");
  EXPECT_EQ(summary["baselines"]["local"]["final"]["5"]["accuracy_mean"],
            expected.baselines[1].cells[2].accuracy_mean);
}

TEST_F(RunFolderTest, QuantilesWithoutEnoughClientsAreNullWithTheReason) {
  const auto folder = Create();
  RunSummary summary;
  summary.main.cells.push_back(
      {.shots = 1, .steps = 0, .accuracy_std = {}, .accuracy_worst_decile = {}, .clients = 4});
  ASSERT_TRUE(folder->Finished(summary).ok());
  const json cell = json::parse(Read(dir_ / "summary.json"))["final"]["0"];
  EXPECT_TRUE(cell["accuracy_worst_decile"].is_null());
  EXPECT_EQ(cell["accuracy_worst_decile_reason"], "fewer than 10 disclosing clients");
}

TEST_F(RunFolderTest, ManifestNamesTheMachineAndTheModel) {
  ASSERT_TRUE(PlaySampleRun(run_, *Create(), clock_).ok());
  const json manifest = json::parse(Read(dir_ / "manifest.json"));
  EXPECT_EQ(manifest["protocol"], "1.0");
  EXPECT_EQ(manifest["seed"], 7);
  EXPECT_EQ(manifest["threads"], 2);
  EXPECT_EQ(manifest["data_fingerprints"]["fashion_mnist"], "abc");
  EXPECT_EQ(manifest["started"], "1970-01-01T00:00:00Z");
  EXPECT_EQ(manifest["model_sha256"],
            Digest::Of(Read(dir_ / "checkpoints/best.safetensors")).hex());
  const std::vector<float> state = {1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(manifest["checkpoints"]["final.safetensors"]["state_sha256"],
            Digest::Of(AsBytes(std::span<const float>(state))).hex());
  char host[256] = {};
  ASSERT_EQ(::gethostname(host, sizeof(host) - 1), 0);
  EXPECT_EQ(manifest["kernel"].get<std::string>().find(host), std::string::npos);
}

TEST_F(RunFolderTest, CheckpointsKeepStateDictNamesAndPrefixFurtherSegments) {
  const StateLayout layout =
      StateLayout::Create({{.name = "theta", .tensors = {{.name = "w", .shape = {2}}}},
                           {.name = "alpha", .tensors = {{.name = "w", .shape = {2}}}}})
          .value();
  const std::vector<float> state = {1, 2, 3, 4};
  ASSERT_TRUE(Create()->Checkpoint("round-4", layout, state, {{"round", "4"}}).ok());
  const auto content = ReadSafeTensors(dir_ / "checkpoints/round-4.safetensors");
  ASSERT_TRUE(content.ok());
  EXPECT_EQ(content->metadata.at("round"), "4");
  EXPECT_THAT(content->Find("w")->values, ElementsAre(1, 2));
  EXPECT_THAT(content->Find("alpha/w")->values, ElementsAre(3, 4));
}

TEST_F(RunFolderTest, ARunThatEndedAbruptlyLeavesWholeLinesAndAReportCanBeMade) {
  ASSERT_TRUE(PlaySampleRun(run_, *Create(), clock_, /*finish=*/false).ok());
  EXPECT_EQ(Lines(dir_ / "rounds.jsonl").size(),
            42u);  // two legs of 20, each with an abandoned attempt
  EXPECT_FALSE(Lines(dir_ / "evaluation.jsonl").empty());
  EXPECT_FALSE(std::filesystem::exists(dir_ / "summary.json"));
  EXPECT_THAT(MakeReport(dir_).value(), HasSubstr("20 of 20 rounds done"));
}

TEST_F(RunFolderTest, RefusesAFolderThatAlreadyHoldsARun) {
  Create();
  const auto again = RunFolder::Create(Options(), clock_);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(again.error().message(), HasSubstr(dir_.string()));
  EXPECT_THAT(again.error().message(), HasSubstr("--out"));
}

TEST_F(RunFolderTest, ARunThatGoesOnWritesItsRecordsAnewFromTheHistory) {
  const SampleRun half{.rounds = 10, .sites = 12, .holdout_sites = 12};
  ASSERT_TRUE(PlaySampleRun(half, *Create(), clock_).ok());
  const json before = json::parse(Read(dir_ / "manifest.json"));
  const std::string rounds = Read(dir_ / "rounds.jsonl"), metrics = Read(dir_ / "metrics.csv"),
                    evaluation = Read(dir_ / "evaluation.jsonl");
  // A torn tail, as after a loss of power.
  ASSERT_TRUE(AppendFile(dir_ / "rounds.jsonl", "{\"round\": 11, \"atte").ok());

  RunFolder::Options options = Options();
  options.resume = true;
  clock_.Advance(std::chrono::hours(1));
  const auto folder = RunFolder::Create(options, clock_).value();
  ASSERT_TRUE(folder->HistoryBegins().ok());
  ASSERT_TRUE(folder->Note("an old one").ok());
  ASSERT_TRUE(PlaySampleRun(half, *folder, clock_, /*finish=*/false).ok());
  EXPECT_THAT(Read(dir_ / "rounds.jsonl"), HasSubstr("atte"));  // nothing is replaced by a part
  ASSERT_TRUE(folder->HistoryEnds("maml", 10).ok());

  EXPECT_EQ(Read(dir_ / "rounds.jsonl"), rounds);
  EXPECT_EQ(Read(dir_ / "metrics.csv"), metrics);
  EXPECT_EQ(Read(dir_ / "evaluation.jsonl"), evaluation);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "summary.json"));  // it is running again

  ASSERT_TRUE(folder->RoundDone(SampleRound(half, 11)).ok());
  EXPECT_EQ(Lines(dir_ / "rounds.jsonl").back()["round"], 11);
  const std::vector<float> state = {1, 2, 3, 4, 5, 6, 7, 8};
  for (const char* name : {"best", "final"}) {
    ASSERT_TRUE(folder->Checkpoint(name, SampleLayout(), state, SampleMetadata()).ok());
  }
  ASSERT_TRUE(folder->Finished(SampleSummary(half)).ok());
  const json after = json::parse(Read(dir_ / "manifest.json"));
  EXPECT_EQ(after["started"], before["started"]);
  EXPECT_NE(after["resumed"], before["started"]);
  EXPECT_EQ(after["checkpoints"], before["checkpoints"]);
  EXPECT_TRUE(std::filesystem::exists(dir_ / "report.html"));
}

TEST_F(RunFolderTest, APausedRunSaysSo) {
  const auto folder = Create();
  RunSummary summary = SampleSummary(run_);
  summary.status = RunStatus::kPaused;
  ASSERT_TRUE(folder->Paused(summary).ok());
  EXPECT_EQ(json::parse(Read(dir_ / "summary.json"))["status"], "paused");
}

TEST_F(RunFolderTest, PrivacySaysWhatWasSpentInRoundsSummaryAndReport) {
  const auto folder = Create();
  ASSERT_TRUE(folder->Started(SampleHeading(run_)).ok());
  for (std::uint64_t round = 1; round <= 3; ++round) {
    RoundRecord record = SampleRound(run_, round);
    record.epsilon = 0.5 * static_cast<double>(round);
    ASSERT_TRUE(folder->RoundDone(record).ok());
  }
  RunSummary summary = SampleSummary(run_);
  summary.status = RunStatus::kBudgetSpent;
  summary.privacy = PrivacySummary{.mode = "central",
                                   .unit = "client",
                                   .epsilon = 1.5,
                                   .delta = 1e-6,
                                   .clip = 1,
                                   .noise_multiplier = 4,
                                   .releases = 3,
                                   .budget_epsilon = 1.75,
                                   .budget_delta = 1e-6,
                                   .assumption = "the unit is a client"};
  ASSERT_TRUE(folder->Finished(summary).ok());
  EXPECT_EQ(Lines(dir_ / "rounds.jsonl")[2]["epsilon"], 1.5);
  const json written = json::parse(Read(dir_ / "summary.json"));
  EXPECT_EQ(written["status"], "budget_spent");
  EXPECT_EQ(written["epsilon"], 1.5);
  EXPECT_EQ(written["privacy"]["budget"]["epsilon"], 1.75);
  EXPECT_EQ(written["privacy"]["releases"], 3);
  const std::string page = Read(dir_ / "report.html");
  EXPECT_TRUE(page.find("differential privacy central, unit: a client, epsilon 1.50 at delta") !=
              std::string::npos);
  EXPECT_TRUE(page.find("Epsilon 1.500 at delta 1e-06 for 3 releases, of a budget of 1.750") !=
              std::string::npos);
}

TEST_F(RunFolderTest, UpdatesThatAreLookedAtAreSaid) {
  const auto folder = Create();
  RunHeading heading = SampleHeading(run_);
  heading.robust_aggregation = "krum";
  ASSERT_TRUE(folder->Started(heading).ok());
  ASSERT_TRUE(folder->RoundDone(SampleRound(run_, 1)).ok());
  ASSERT_TRUE(folder->Finished(SampleSummary(run_)).ok());
  EXPECT_EQ(json::parse(Read(dir_ / "manifest.json"))["robust_aggregation"], "krum");
  const std::string page = Read(dir_ / "report.html");
  EXPECT_TRUE(page.find("robust aggregation by krum, without secure aggregation") !=
              std::string::npos);
  EXPECT_TRUE(page.find("individual updates are visible") != std::string::npos);
}

TEST_F(RunFolderTest, WithoutPrivacyNothingIsSaidOfEpsilon) {
  const auto folder = Create();
  ASSERT_TRUE(folder->Started(SampleHeading(run_)).ok());
  ASSERT_TRUE(folder->RoundDone(SampleRound(run_, 1)).ok());
  ASSERT_TRUE(folder->Finished(SampleSummary(run_)).ok());
  EXPECT_FALSE(Lines(dir_ / "rounds.jsonl")[0].contains("epsilon"));
  EXPECT_FALSE(json::parse(Read(dir_ / "summary.json")).contains("privacy"));
  EXPECT_TRUE(Read(dir_ / "report.html").find("differential privacy not used") !=
              std::string::npos);
}

TEST_F(RunFolderTest, TakesAFolderThatHoldsOtherThings) {
  std::filesystem::create_directories(dir_ / "pki");
  EXPECT_TRUE(RunFolder::Create(Options(), clock_).ok());
}

TEST_F(RunFolderTest, NamesAFolderThatCannotBeMade) {
  ASSERT_TRUE(WriteFileAtomically(folder_.path() / "file", std::string_view("x")).ok());
  RunFolder::Options options = Options();
  options.dir = folder_.path() / "file" / "run";
  const auto folder = RunFolder::Create(options, clock_);
  ASSERT_FALSE(folder.ok());
  EXPECT_THAT(folder.error().message(), HasSubstr(options.dir.string()));
}

TEST_F(RunFolderTest, AFullDiskIsReportedWithThePathAndLeavesNoHalfLine) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // Files may grow to 20,000 bytes: then write(2) takes a part and fails, as on a full disk.
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{20000, 20000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto folder = RunFolder::Create(Options(), clock_);
    if (!folder.ok()) ::_exit(2);
    const Status status = PlaySampleRun({.rounds = 200}, **folder, clock_);
    if (status.ok()) ::_exit(3);
    const bool said = WriteFileAtomically(folder_.path() / "error", status.error().message()).ok();
    ::_exit(said ? 0 : 4);
  }
  int code = 0;
  ASSERT_EQ(::waitpid(child, &code, 0), child);
  ASSERT_TRUE(WIFEXITED(code));
  ASSERT_EQ(WEXITSTATUS(code), 0);
  EXPECT_THAT(Read(folder_.path() / "error"), HasSubstr(dir_.string()));
  EXPECT_GE(Lines(dir_ / "rounds.jsonl").size(), 10u);
  for (const std::string& file : Files(dir_))
    EXPECT_EQ(file.find(".tmp"), std::string::npos) << file;
}

TEST_F(RunFolderTest, ACheckpointThatDoesNotFitLeavesNoFile) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{20000, 20000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto folder = RunFolder::Create(Options(), clock_);
    if (!folder.ok()) ::_exit(2);
    const StateLayout layout =
        StateLayout::Create({{.name = "theta", .tensors = {{.name = "w", .shape = {10000}}}}})
            .value();
    const std::vector<float> state(10000);
    const Status status = (*folder)->Checkpoint("best", layout, state, {});
    ::_exit(!status.ok() && status.error().message().find("best") != std::string::npos ? 0 : 3);
  }
  int code = 0;
  ASSERT_EQ(::waitpid(child, &code, 0), child);
  ASSERT_TRUE(WIFEXITED(code));
  EXPECT_EQ(WEXITSTATUS(code), 0);
  EXPECT_TRUE(std::filesystem::is_empty(dir_ / "checkpoints"));
}

TEST_F(RunFolderTest, NotesAreKeptWithTheirTime) {
  const auto folder = Create();
  clock_.Advance(Duration(1000));
  ASSERT_TRUE(folder->Note("site-3 is back").ok());
  EXPECT_EQ(Read(dir_ / "notes.txt"), "1970-01-01T00:00:01Z site-3 is back\n");
}

TEST_F(RunFolderTest, TheDefaultFolderIsNamedAfterExperimentAndTime) {
  EXPECT_EQ(DefaultRunFolder("heart", clock_), "runs/heart-19700101T000000Z");
}

}  // namespace
}  // namespace fedmeta
