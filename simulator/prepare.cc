#include "fedmeta/simulator/prepare.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "fedmeta/configs/loader.h"
#include "fedmeta/core/text.h"
#include "fedmeta/privacy/privacy_account.h"
#include "fedmeta/privacy/random_rotation.h"
#include "fedmeta/privacy/ring_vector.h"
#include "fedmeta/privacy/secure_terms.h"
#include "fedmeta/privacy/update_compression.h"
#include "fedmeta/protocol/dictionary.h"
#include "fedmeta/records/safetensors.h"
#include "fedmeta/simulator/sites.h"
#include "fedmeta/v1/data.pb.h"
#include "fedmeta/v1/server.pb.h"

namespace fedmeta {
namespace {

/// What models are built for, from the data or, without it, from the experiment's own keys.
struct DataShape {
  std::vector<std::int64_t> input_shape;
  std::int64_t task_outputs = 0;
  std::int64_t site_outputs = 0;  ///< largest label set of a site
};

Result<DataShape> FindDataShape(const v1::Experiment& experiment, const LearnRegistries& registries,
                                const SimulationData* data) {
  const v1::Data& settings = experiment.data();
  DataShape shape{.input_shape = {settings.input_shape().begin(), settings.input_shape().end()},
                  .task_outputs = 0,
                  .site_outputs = settings.classes()};
  if (data != nullptr) {
    FEDMETA_ASSIGN_OR_RETURN(const auto tasks,
                             MakeClientTasks(experiment, registries.data, *data, 0));
    shape.task_outputs = tasks->task_outputs();
    if (shape.input_shape.empty()) shape.input_shape = data->source.input_shape;
    if (shape.site_outputs == 0) shape.site_outputs = data->partition->largest_label_set();
    if (shape.site_outputs == 0) shape.site_outputs = shape.task_outputs;
    // Tasks that keep the sites' own labels need an output for each of them.
    if (!tasks->relabels()) shape.task_outputs = std::max(shape.task_outputs, shape.site_outputs);
    return shape;
  }
  // A table's dictionary says both.
  const v1::Dictionary dictionary = DictionaryOf(settings);
  if (!dictionary.features().empty()) {
    shape.input_shape = {static_cast<std::int64_t>(InputNames(dictionary).size())};
    shape.site_outputs = dictionary.label().levels_size();
  }
  if (shape.input_shape.empty() || shape.site_outputs == 0) {
    return Error(ErrorCode::kInvalidArgument,
                 "without data.source the initial model needs data.input_shape (e.g. [1, 28, 28]) "
                 "and data.classes: add them to the experiment");
  }
  v1::EpisodicSettings episodic;
  shape.task_outputs =
      settings.tasks().settings().UnpackTo(&episodic) ? episodic.ways() : shape.site_outputs;
  return shape;
}

v1::Plugin DefaultServerPlugin(const std::string& name, const google::protobuf::Message& settings) {
  v1::Plugin plugin;
  plugin.set_name(name);
  plugin.mutable_settings()->PackFrom(settings);
  return plugin;
}

v1::Plugin ModelPlugin(const v1::ModelChoice& choice) {
  v1::Plugin plugin;
  plugin.set_name(choice.name());
  *plugin.mutable_settings() = choice.settings();
  return plugin;
}

/// Nothing where nothing is compressed.
std::optional<v1::CompressionTerms> CompressionTermsOf(const v1::Experiment& experiment) {
  if (!experiment.federation().has_compression()) return std::nullopt;
  const v1::Compression& keys = experiment.federation().compression();
  v1::CompressionTerms terms;
  terms.set_fraction(keys.fraction());
  terms.set_error_feedback(keys.error_feedback());
  terms.set_rotation(keys.rotation());
  terms.set_bits(keys.bits());
  terms.set_half_download(keys.download() == "float16");
  if (!ShortensUpdates(terms) && terms.bits() == 32 && !terms.half_download()) return std::nullopt;
  return terms;
}

/// A narrow ring's steps must not be so wide that rounding drowns the update: its L2 norm, at worst
/// half a step a coordinate, stays below the clip. Sets the bound of rotated coordinates.
Status FitNarrowRing(const v1::CompressionTerms& compression, const StateLayout& layout,
                     v1::SecureTerms& secure) {
  const std::size_t coordinates = ExchangedCoordinates(compression, layout);
  if (compression.rotation()) secure.set_coordinate_bound(RotatedBound(coordinates, secure.clip()));
  FEDMETA_ASSIGN_OR_RETURN(const RingBits bits, RingBitsOf(secure.ring_bits()));
  if (!IsNarrow(bits)) return {};
  const double bound = secure.coordinate_bound() > 0 ? secure.coordinate_bound() : secure.clip();
  const auto rounding = [&](double ring_bits) {
    const double levels = std::floor((std::exp2(ring_bits - 1) - 1) / secure.group_size());
    return std::sqrt(static_cast<double>(coordinates)) * bound / levels / 2;
  };
  if (rounding(secure.ring_bits()) <= secure.clip()) return {};
  std::uint32_t enough = secure.ring_bits() + 1;
  while (enough < 32 && !(rounding(enough) <= secure.clip())) ++enough;
  return Error(ErrorCode::kInvalidArgument,
               "privacy.secure_aggregation.ring_bits " + std::to_string(secure.ring_bits()) +
                   " is too few for an update of " + std::to_string(coordinates) +
                   " coordinates in groups of " + std::to_string(secure.group_size()) +
                   ": sqrt(coordinates) x step / 2, which rounding adds, must be <= clip, got " +
                   FormatNumber(rounding(secure.ring_bits())) + " > " +
                   FormatNumber(secure.clip()) + ": nearest are ring_bits " +
                   std::to_string(enough) +
                   (compression.rotation() ? "" : ", or federation.compression.rotation true") +
                   " and a smaller group_size");
}

// A warm start: tensors of the same names and shapes, in the order of the layout.
Result<std::vector<float>> ReadInitial(const std::string& path, const StateLayout& layout) {
  std::filesystem::path file = path;
  if (std::filesystem::is_directory(file)) file = file / "checkpoints" / "best.safetensors";
  FEDMETA_ASSIGN_OR_RETURN(const SafeTensors stored, ReadSafeTensors(file));
  std::vector<float> state;
  state.reserve(layout.size());
  for (const Segment& segment : layout.segments()) {
    for (const TensorSpec& tensor : segment.tensors) {
      const NamedTensor* found = stored.Find(tensor.name);
      if (found == nullptr || found->shape != tensor.shape) {
        return Error(ErrorCode::kInvalidArgument, "model.initial: " + file.string() +
                                                      " has no tensor '" + tensor.name +
                                                      "' of the shape that this model needs");
      }
      state.insert(state.end(), found->values.begin(), found->values.end());
    }
  }
  return state;
}

Result<Leg> PrepareLeg(const v1::Experiment& experiment, const LearnRegistries& registries,
                       const DataShape& shape, const v1::Plugin& method, std::size_t alternative,
                       std::size_t alternatives, bool main) {
  const v1::Plugin choice = ChooseAlternative(method, alternative);
  FEDMETA_ASSIGN_OR_RETURN(const auto learner, MakeMetaLearner(registries.algorithms, choice));
  v1::Assignment assignment;
  assignment.set_experiment(experiment.name());
  assignment.set_seed(experiment.seed());
  assignment.set_data(experiment.data().name());
  *assignment.mutable_tasks() = experiment.data().tasks();
  *assignment.mutable_model() = ModelPlugin(experiment.model());
  *assignment.mutable_algorithm() = choice;
  assignment.mutable_input_shape()->Assign(shape.input_shape.begin(), shape.input_shape.end());
  assignment.set_outputs(static_cast<std::uint32_t>(
      learner->uses_site_labels() ? shape.site_outputs : shape.task_outputs));
  assignment.set_device(experiment.device());
  assignment.set_class_weights(experiment.data().class_weights());
  if (!experiment.data().features().empty()) {
    *assignment.mutable_dictionary() = DictionaryOf(experiment.data());
  }
  const bool is_private = experiment.privacy().has_differential_privacy();
  if (is_private) {
    *assignment.mutable_differential_privacy() =
        PrivacyTermsOf(experiment.privacy().differential_privacy());
  }

  if (experiment.privacy().secure_aggregation().mode() == "secure") {
    *assignment.mutable_secure() = SecureTermsOf(experiment);
  }
  // What pools is a measure of what is lost by not pooling, not a federation.
  const bool exchanges = learner->trains() && !learner->pools();
  const std::optional<v1::CompressionTerms> compression =
      exchanges ? CompressionTermsOf(experiment) : std::nullopt;
  if (compression) *assignment.mutable_compression() = *compression;
  if (experiment.privacy().secure_aggregation().mode() == "plain_robust") {
    assignment.set_robust_aggregation(experiment.server().aggregation().name());
  }
  FEDMETA_ASSIGN_OR_RETURN(const auto model, MakeModel(registries.models, assignment.model(),
                                                       {.input_shape = shape.input_shape,
                                                        .outputs = assignment.outputs()}));
  if (experiment.evaluation().has_transductive()) {
    assignment.set_transductive(experiment.evaluation().transductive());
    if (assignment.transductive() && model->normalization() != NormalizationStatistics::kBatch) {
      return Error(ErrorCode::kInvalidArgument,
                   "evaluation.transductive: true needs a model that normalises by the batch at "
                   "hand, which " +
                       assignment.model().name() + " does not; set it to false or remove it");
    }
  }
  Leg leg;
  leg.name = choice.name() + (alternatives > 1 ? "-" + std::to_string(alternative + 1) : "");
  leg.method = choice.name();
  leg.main = main;
  leg.trains = learner->trains();
  // A weight would say how much data a site has, and multiply what one client can add.
  leg.maximum_weight = is_private ? 1.0 : learner->maximum_weight();
  leg.adaptation_rate = learner->default_adaptation_rate();
  FEDMETA_ASSIGN_OR_RETURN(leg.layout, learner->DescribeState(*model));
  if (assignment.has_secure() && leg.trains) {
    v1::CompressionTerms none;
    none.set_fraction(1);
    FEDMETA_RETURN_IF_ERROR(
        FitNarrowRing(compression.value_or(none), leg.layout, *assignment.mutable_secure()));
  }
  assignment.set_layout_fingerprint(leg.layout.fingerprint().bytes());
  if (leg.trains && assignment.has_secure() && HidesClients(assignment.differential_privacy())) {
    const Result<PrivateSum> sum =
        SecurePrivateSum(assignment.secure(), assignment.differential_privacy(), leg.layout);
    if (!sum.ok()) return sum.error();
  }
  leg.assignment = assignment.SerializeAsString();
  if (main && experiment.model().has_initial()) {
    FEDMETA_ASSIGN_OR_RETURN(leg.initial_state,
                             ReadInitial(experiment.model().initial(), leg.layout));
  } else {
    const std::string purpose = "initial_state/" + leg.method;
    Rng rng(StreamName{.seed = experiment.seed(), .purpose = purpose});
    FEDMETA_ASSIGN_OR_RETURN(leg.initial_state, learner->InitialState(*model, rng));
  }
  // Of baselines too: what poisons the one poisons the other.
  leg.aggregation = experiment.server().aggregation();
  if (main) {
    leg.optimizer = experiment.server().optimizer();
  } else {
    // The experiment's optimiser is tuned for the main method; an average moves the state by
    // itself.
    v1::SgdSettings sgd;
    sgd.set_learning_rate(1.0);
    sgd.set_learning_rate_schedule("constant");
    leg.optimizer = DefaultServerPlugin("sgd", sgd);
  }
  return leg;
}

}  // namespace

Result<SimulationData> OpenSimulationData(const v1::Experiment& experiment,
                                          const DataRegistry& registry,
                                          const PluginTables& schema) {
  if (experiment.data().partition().scheme() == "sites") {
    return OpenSites(experiment, registry, schema);
  }
  if (!experiment.data().has_source()) {
    return Error(ErrorCode::kInvalidArgument,
                 "a simulation needs data.source: where to read the examples that are dealt out to "
                 "the clients");
  }
  SimulationData data;
  FEDMETA_ASSIGN_OR_RETURN(OpenedSource source, OpenSource(registry, experiment.data().source()));
  FEDMETA_ASSIGN_OR_RETURN(data.source,
                           ReadTable(std::move(source), DictionaryOf(experiment.data())));
  FEDMETA_ASSIGN_OR_RETURN(data.partition,
                           MakePartition(experiment.data().partition(), experiment.data().tasks(),
                                         data.source, experiment.seed()));
  return data;
}

Result<std::unique_ptr<TaskGenerator>> MakeClientTasks(const v1::Experiment& experiment,
                                                       const DataRegistry& registry,
                                                       const SimulationData& data,
                                                       std::size_t client) {
  std::optional<DatasetView> view;
  if (data.source.dataset) {
    FEDMETA_ASSIGN_OR_RETURN(view, data.partition->view(client));
  }
  return MakeTaskGenerator(registry, experiment.data().tasks(), data.source,
                           view ? &*view : nullptr, data.partition->name(client),
                           experiment.seed());
}

Result<std::vector<Leg>> PrepareLegs(const v1::Experiment& experiment,
                                     const LearnRegistries& registries,
                                     const SimulationData* data) {
  FEDMETA_ASSIGN_OR_RETURN(const DataShape shape, FindDataShape(experiment, registries, data));
  std::vector<Leg> legs;
  const auto add = [&](const v1::Plugin& method, bool main) -> Status {
    const std::size_t alternatives = 1 + static_cast<std::size_t>(method.alternatives_size());
    for (std::size_t i = 0; i < alternatives; ++i) {
      FEDMETA_ASSIGN_OR_RETURN(
          Leg leg, PrepareLeg(experiment, registries, shape, method, i, alternatives, main));
      legs.push_back(std::move(leg));
    }
    return {};
  };
  FEDMETA_RETURN_IF_ERROR(add(experiment.algorithm(), true));
  for (const v1::Plugin& baseline : experiment.evaluation().baselines())
    FEDMETA_RETURN_IF_ERROR(add(baseline, false));
  return legs;
}

}  // namespace fedmeta
