#include "fedmeta/configs/experiment_checks.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <google/protobuf/any.pb.h>

#include "fedmeta/configs/compression_checks.h"
#include "fedmeta/configs/plugin_keys.h"
#include "fedmeta/configs/privacy_checks.h"
#include "fedmeta/configs/robust_checks.h"
#include "fedmeta/configs/schema.h"
#include "fedmeta/configs/secure_checks.h"
#include "fedmeta/configs/text_checks.h"
#include "fedmeta/core/text.h"
#include "fedmeta/protocol/dictionary.h"

namespace fedmeta {
namespace {

using google::protobuf::Any;

class ExperimentChecks {
 public:
  ExperimentChecks(const v1::Experiment& experiment, const SourceMap& places,
                   std::vector<Problem>& problems)
      : experiment_(experiment),
        places_(places),
        problems_(problems),
        tasks_(experiment.data().tasks().settings()) {}

  void Run() {
    CheckNames();
    CheckSource();
    CheckTable();
    CheckPartition();
    CheckClassesPerClient();
    CheckCohort();
    CheckMethods();
    CheckEvaluation();
    CheckPrivacy(experiment_, places_, problems_);
    CheckSecureAggregation(experiment_, places_, problems_);
    CheckCompression(experiment_, places_, problems_);
    CheckRobustAggregation(experiment_, places_, problems_);
  }

 private:
  void Report(const std::string& path, const std::string& message) {
    problems_.push_back({places_.Find(path), path + " " + message});
  }

  void CheckNames() {
    CheckName("name", experiment_.has_name(), experiment_.name());
    CheckName("data.name", experiment_.data().has_name(), experiment_.data().name());
  }
  void CheckName(const std::string& path, bool set, const std::string& name) {
    if (!set) return;
    if (const auto refused = WhyNoName(name)) Report(path, *refused);
  }

  void CheckSource() {
    const std::string& source = experiment_.data().source().name();
    const std::string& tasks = experiment_.data().tasks().name();
    // Sources and tasks that are not listed come from a consumer, who knows what fits.
    const std::map<std::string, std::vector<std::string>> fitting = {
        {"command", {"episodic", "split"}}, {"csv", {"episodic", "split"}},
        {"idx", {"episodic", "split"}},     {"npz", {"episodic", "split"}},
        {"text", {"episodic", "split"}},    {"sinusoid", {"regression"}}};
    const auto found = fitting.find(source);
    const bool known_tasks = std::any_of(fitting.begin(), fitting.end(), [&](const auto& entry) {
      return std::find(entry.second.begin(), entry.second.end(), tasks) != entry.second.end();
    });
    if (found != fitting.end() && known_tasks &&
        std::find(found->second.begin(), found->second.end(), tasks) == found->second.end()) {
      Report("data.tasks.name", "must be " + Join(found->second, " or ") + " with source " +
                                    source + ", got '" + tasks + "'");
    }
    const PluginKeys settings(experiment_.data().source().settings());
    const auto least = settings.Number("amplitude_minimum");
    const auto most = settings.Number("amplitude_maximum");
    if (least && most && *least > *most) {
      Report("data.source.amplitude_minimum", "must be <= amplitude_maximum, which is " +
                                                  FormatNumber(*most) + ", got " +
                                                  FormatNumber(*least));
    }
  }

  /// The data dictionary, and whether the source has columns for it.
  void CheckTable() {
    const v1::Data& data = experiment_.data();
    const std::string& source = data.source().name();
    const bool has_columns = source == "csv" || source == "command";
    if (has_columns && data.features().empty()) {
      Report("data.source.name", source + " needs data.features and data.label");
    }
    if (!data.features().empty() && data.has_source() && !has_columns && IsBuiltIn(source)) {
      Report("data.features", "need a source with columns, csv or command, got " + source);
    }
    // What the binder has refused is not set: it would be reported again.
    const bool bound = std::none_of(problems_.begin(), problems_.end(), [](const Problem& problem) {
      return problem.message.starts_with("data.features") ||
             problem.message.starts_with("data.label");
    });
    if (!bound) return;
    for (const DictionaryProblem& problem : CheckDictionary(DictionaryOf(data))) {
      Report("data." + problem.path, problem.message);
    }
  }
  static bool IsBuiltIn(const std::string& source) {
    return source == "idx" || source == "npz" || source == "sinusoid" || source == "text";
  }

  void CheckPartition() {
    const v1::Partition& partition = experiment_.data().partition();
    const bool by_file = partition.scheme() == "column";
    const std::string& source = experiment_.data().source().name();
    if (by_file && !partition.has_column_file() && source != "text" && IsBuiltIn(source)) {
      Report("data.partition.scheme", "column needs data.partition.column_file");
    }
    if (!by_file && partition.has_column_file()) {
      Report("data.partition.column_file",
             "is read with scheme column only, which is " + partition.scheme() + "; remove it");
    }
    const bool by_site = partition.scheme() == "sites";
    if (by_site && partition.site_files().empty()) {
      Report("data.partition.scheme", "sites needs data.partition.site_files");
    }
    if (by_site && experiment_.data().has_source()) {
      Report("data.source",
             "is not read with data.partition.scheme sites: each site's file has its "
             "own; remove it");
    }
    if (!by_site && !partition.site_files().empty()) {
      Report("data.partition.site_files",
             "are read with scheme sites only, which is " + partition.scheme() + "; remove them");
    }
    const bool published = partition.class_split() == "vinyals";
    if (published && !partition.has_split_dir()) {
      Report("data.partition.class_split", "vinyals needs data.partition.split_dir");
    }
    if (!published && partition.has_split_dir()) {
      Report("data.partition.split_dir", "is read with class_split vinyals only, which is " +
                                             partition.class_split() + "; remove it");
    }
    if (partition.class_split() != "none" && partition.scheme() != "shared" &&
        partition.has_class_split()) {
      Report("data.partition.class_split",
             partition.class_split() + " needs scheme shared, which is " + partition.scheme());
    }
    if (!HasCountedClients()) return;
    const std::uint64_t apart =
        std::uint64_t{partition.holdout_clients()} + partition.validation_clients();
    if (apart >= partition.clients()) {
      Report(partition.holdout_clients() > 0 ? "data.partition.holdout_clients"
                                             : "data.partition.clients",
             "must leave training clients: holdout_clients (" +
                 std::to_string(partition.holdout_clients()) + ") + validation_clients (" +
                 std::to_string(partition.validation_clients()) + ") must be < clients, which is " +
                 std::to_string(partition.clients()));
    }
  }

  /// Whether this file describes a simulation whose number of clients is known without the data.
  bool HasCountedClients() const {
    const v1::Partition& partition = experiment_.data().partition();
    return experiment_.data().has_source() && partition.scheme() != "column" &&
           partition.has_clients() && partition.has_holdout_clients() &&
           partition.has_validation_clients();
  }

  void CheckClassesPerClient() {
    const v1::Partition& partition = experiment_.data().partition();
    const auto ways = tasks_.Whole("ways");
    const auto queries = tasks_.Whole("queries");
    const auto shots = tasks_.Whole("shots");
    if (partition.scheme() != "classes" || !ways || !queries || !shots) return;
    // Each quarter turn of a class may be a class of its own.
    const std::uint64_t turns = tasks_.Text("rotations") == "classes" ? 4 : 1;
    const std::uint64_t classes = turns * partition.classes_per_client();
    if (partition.has_classes_per_client() && *ways > classes) {
      Report("data.tasks.ways",
             "must be <= the classes of a client, data.partition.classes_per_client" +
                 std::string(turns > 1 ? " x 4 turns" : "") + " = " + std::to_string(classes) +
                 ", got " + std::to_string(*ways));
    }
    const std::uint64_t examples = partition.examples_per_class();
    if (examples == 0) return;
    const auto check = [&](const std::string& path, std::uint64_t support) {
      if (support + *queries <= examples) return;
      Report(path, "(" + std::to_string(support) + ") + data.tasks.queries (" +
                       std::to_string(*queries) +
                       ") must be <= data.partition.examples_per_class, which is " +
                       std::to_string(examples));
    };
    check("data.tasks.shots", *shots);
    for (int i = 0; i < experiment_.evaluation().shots_size(); ++i) {
      const std::string path = "evaluation.shots[" + std::to_string(i) + "]";
      if (places_.Has("evaluation.shots")) check(path, experiment_.evaluation().shots(i));
    }
  }

  void CheckCohort() {
    const v1::Federation& federation = experiment_.federation();
    if (federation.has_minimum_cohort() && federation.has_cohort() &&
        federation.minimum_cohort() > federation.cohort()) {
      Report("federation.minimum_cohort", "must be <= federation.cohort, which is " +
                                              std::to_string(federation.cohort()) + ", got " +
                                              std::to_string(federation.minimum_cohort()));
    }
    CheckParticipants();
    if (!HasCountedClients() || !federation.has_cohort()) return;
    const v1::Partition& partition = experiment_.data().partition();
    const std::int64_t training = std::int64_t{partition.clients()} - partition.holdout_clients() -
                                  partition.validation_clients();
    if (training > 0 && federation.cohort() > training) {
      Report("federation.cohort",
             "must be <= the training clients of data.partition (clients - holdout_clients - "
             "validation_clients), which are " +
                 std::to_string(training) + ", got " + std::to_string(federation.cohort()));
    }
  }

  void CheckParticipants() {
    const v1::Federation& federation = experiment_.federation();
    std::set<std::string> seen;
    for (int i = 0; i < federation.participants_size(); ++i) {
      const std::string& name = federation.participants(i);
      const std::string path = "federation.participants[" + std::to_string(i) + "]";
      if (const auto refused = WhyNoParty(name)) {
        Report(path, *refused);
      } else if (!seen.insert(name).second) {
        Report(path, "names '" + name + "' again");
      }
    }
    if (!seen.empty() && federation.cohort() > seen.size()) {
      Report("federation.cohort", "must be <= the number of federation.participants, which is " +
                                      std::to_string(seen.size()) + ", got " +
                                      std::to_string(federation.cohort()));
    }
  }

  /// The main algorithm and the baselines: each method once, since runs and checkpoints are named
  /// by method.
  void CheckMethods() {
    const v1::Plugin& algorithm = experiment_.algorithm();
    if (const auto settings = Unpack(algorithm.settings());
        settings != nullptr && SummaryOf(*settings->GetDescriptor()).baseline_only()) {
      Report("algorithm.name",
             "'" + algorithm.name() + "' is a baseline only; put it under evaluation.baselines");
    }
    CheckMethod("algorithm", algorithm);
    std::set<std::string> names = {algorithm.name()};
    for (int i = 0; i < experiment_.evaluation().baselines_size(); ++i) {
      const v1::Plugin& baseline = experiment_.evaluation().baselines(i);
      const std::string path = "evaluation.baselines[" + std::to_string(i) + "]";
      CheckMethod(path, baseline);
      if (baseline.has_name() && !names.insert(baseline.name()).second) {
        Report(path + ".name", "'" + baseline.name() +
                                   "' is already the main algorithm or another baseline; give "
                                   "one of them a list of settings instead");
      }
    }
  }
  void CheckMethod(const std::string& path, const v1::Plugin& method) {
    if (experiment_.data().tasks().name() != "split") return;
    const auto refuse = [&](const Any& settings) {
      return PluginKeys(settings).Whole("train_shots").value_or(0) > 0;
    };
    if (refuse(method.settings()) ||
        std::any_of(method.alternatives().begin(), method.alternatives().end(), refuse)) {
      Report(path + ".train_shots",
             "must be 0 with split tasks, which have no examples a class to count");
    }
  }

  void CheckEvaluation() {
    const v1::Evaluation& evaluation = experiment_.evaluation();
    const auto list_problem = [&](const std::string& path, const std::string& message) {
      if (places_.Has(path)) Report(path, message);
    };
    if (evaluation.steps().empty()) {
      list_problem("evaluation.steps", "needs at least one step count");
    }
    if (std::adjacent_find(evaluation.steps().begin(), evaluation.steps().end(),
                           std::greater_equal<>()) != evaluation.steps().end()) {
      list_problem("evaluation.steps", "must ascend without repeats");
    }
    if (Repeats(evaluation.shots())) list_problem("evaluation.shots", "must not repeat a value");
    if (Repeats(evaluation.learning_rates())) {
      list_problem("evaluation.learning_rates", "must not repeat a value");
    }
    CheckStatistics();
    const v1::Select& select = evaluation.select();
    if (select.has_steps() && !evaluation.steps().empty() &&
        std::find(evaluation.steps().begin(), evaluation.steps().end(), select.steps()) ==
            evaluation.steps().end()) {
      std::vector<std::string> steps;
      for (const auto count : evaluation.steps()) steps.push_back(std::to_string(count));
      Report("evaluation.select.steps", "must be one of evaluation.steps, " + Join(steps, ", ") +
                                            ", got " + std::to_string(select.steps()));
    }
    const auto size = [](const auto& list) {
      return static_cast<std::size_t>(std::max(1, list.size()));
    };
    const std::size_t cells =
        size(evaluation.shots()) * size(evaluation.learning_rates()) * size(evaluation.steps());
    if (cells > kMaximumCellsOfAnEvaluation) {
      problems_.push_back(
          {places_.Find("evaluation"),
           "evaluation asks for shots x learning_rates x steps = " + FormatCount(cells) +
               " cells, must be <= " + FormatCount(kMaximumCellsOfAnEvaluation) +
               "; shorten one of the lists"});
    }
  }
  void CheckStatistics() {
    const std::string normalization =
        PluginKeys(experiment_.model().settings()).Text("normalization");
    if (normalization.empty()) return;  // a model without batch normalisation, or a consumer's
    if (experiment_.evaluation().transductive() && normalization != "batch") {
      Report("evaluation.transductive", "true needs model.normalization batch, which is " +
                                            normalization + "; set it to false or remove it");
    }
    if (normalization == "frozen" && !experiment_.model().has_initial()) {
      Report("model.normalization",
             "frozen needs model.initial: a run folder or .safetensors file whose statistics stay; "
             "without one use averaged or local");
    }
  }
  template <typename List>
  static bool Repeats(const List& list) {
    return std::set<typename List::value_type>(list.begin(), list.end()).size() !=
           static_cast<std::size_t>(list.size());
  }

  const v1::Experiment& experiment_;
  const SourceMap& places_;
  std::vector<Problem>& problems_;
  PluginKeys tasks_;
};

}  // namespace

void FillDependentDefaults(v1::Experiment& experiment, bool live) {
  v1::Federation& federation = *experiment.mutable_federation();
  if (!federation.has_minimum_cohort() && federation.has_cohort()) {
    federation.set_minimum_cohort(federation.cohort());
  }
  v1::Evaluation& evaluation = *experiment.mutable_evaluation();
  if (!evaluation.select().has_steps() && !evaluation.steps().empty()) {
    evaluation.mutable_select()->set_steps(*evaluation.steps().rbegin());
  }
  if (const std::string normalization =
          PluginKeys(experiment.model().settings()).Text("normalization");
      !evaluation.has_transductive() && !normalization.empty()) {
    evaluation.set_transductive(normalization == "batch");
  }
  if (evaluation.shots().empty()) {
    evaluation.add_shots(
        PluginKeys(experiment.data().tasks().settings()).Whole("shots").value_or(0));
  }
  if (evaluation.learning_rates().empty()) {
    const PluginKeys algorithm(experiment.algorithm().settings());
    auto rate = algorithm.Number("inner_learning_rate");
    if (!rate) rate = algorithm.Number("learning_rate");
    if (rate) evaluation.add_learning_rates(*rate);
  }
  v1::SecureAggregation& sums = *experiment.mutable_privacy()->mutable_secure_aggregation();
  if (!sums.has_mode()) {
    const bool below_masks = experiment.privacy().differential_privacy().mode() == "distributed";
    sums.set_mode(live || below_masks ? "secure" : "plain");
  }
  FillPrivacyDefaults(experiment);
}

void CheckExperiment(const v1::Experiment& experiment, const SourceMap& places,
                     std::vector<Problem>& problems) {
  ExperimentChecks(experiment, places, problems).Run();
}

}  // namespace fedmeta
