#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "fedmeta/cli/commands.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/configs/privacy_checks.h"
#include "fedmeta/core/text.h"
#include "fedmeta/privacy/privacy_account.h"
#include "fedmeta/privacy/record_account.h"

namespace fedmeta {
namespace {

using Json = nlohmann::ordered_json;

/// Below it, hiding a whole client means hiding most of what the sum says.
constexpr std::uint32_t kFewClients = 20;

constexpr char kClientUnit[] =
    "the unit is a client (in mode local a record), with or without what it adds, in a public list "
    "of "
    "participants; "
    "replacing it by another doubles the sensitivity";

struct PrivacyOptions {
  std::string experiment;
  std::vector<std::string> overrides;
  std::optional<double> noise, epsilon, delta, sampling_rate;
  std::optional<std::uint64_t> rounds;
  std::string accountant;
  bool json = false;
};

/// The three that imply each other, and what they rest on.
struct Plan {
  std::string solved;  ///< which of them was computed
  Accountant accountant = Accountant::kZeroConcentrated;
  ReleaseTerms terms;
  std::uint64_t rounds = 0;
  double delta = 0, epsilon = 0;
  std::vector<std::string> assumptions;
};

Error Refused(const std::string& what) { return {ErrorCode::kInvalidArgument, "privacy: " + what}; }

std::string Text(double value) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.8g", value);
  return text;
}

/// Fills in what the experiment says and the command line does not.
Status TakeExperiment(const PluginTables& tables, PrivacyOptions& options, Plan& plan) {
  FEDMETA_ASSIGN_OR_RETURN(const auto experiment,
                           Loader(tables).LoadExperiment(options.experiment, options.overrides));
  const v1::DifferentialPrivacy& keys = experiment->privacy().differential_privacy();
  if (!experiment->privacy().has_differential_privacy()) {
    return Refused(options.experiment +
                   " has no privacy.differential_privacy: plan with --noise, --epsilon, --rounds, "
                   "or add the block");
  }
  const bool local = keys.mode() == "local";
  if (!options.delta) options.delta = keys.delta();
  if (!options.sampling_rate) {
    FEDMETA_ASSIGN_OR_RETURN(options.sampling_rate, SamplingRate(*experiment));
  }
  if (!options.noise && !options.epsilon) options.noise = keys.noise_multiplier();
  if (!options.rounds && !(options.epsilon && options.noise)) {
    options.rounds = PlannedReleases(*experiment);
    if (local) {
      FEDMETA_ASSIGN_OR_RETURN(const std::uint64_t gradients,
                               GradientsPerRecord(experiment->algorithm()));
      options.rounds = experiment->federation().rounds() * gradients;
    }
  }
  plan.assumptions.push_back("mode " + keys.mode() + ", clip " + Text(keys.clip()));
  if (local) {
    plan.assumptions.push_back(
        "the unit is a record; rounds are the gradients that one record takes part in over all "
        "training rounds of the main method, support and query");
    return {};
  }
  plan.assumptions.push_back("rounds are " + std::to_string(experiment->federation().rounds()) +
                             " of each of the methods that train, without retries");
  plan.assumptions.push_back(kClientUnit);
  FEDMETA_ASSIGN_OR_RETURN(const std::optional<PrivacyAccount> account,
                           PrivacyAccount::Of(*experiment));
  if (account) {
    const std::vector<std::string>& noise = account->noise_assumptions();
    plan.assumptions.insert(plan.assumptions.end(), noise.begin(), noise.end());
  }
  if (const std::uint32_t cohort = experiment->federation().cohort(); cohort < kFewClients) {
    plan.assumptions.push_back(
        "with " + std::to_string(cohort) +
        " clients in a round an epsilon at client level buys little: the noise that hides one of "
        "them drowns most of the rest; protecting records (mode local) is what fits few sites");
  }
  return {};
}

Status Solve(const PrivacyOptions& options, Plan& plan) {
  const int given =
      options.noise.has_value() + options.epsilon.has_value() + options.rounds.has_value();
  if (given != 2) {
    return Refused("give two of --noise, --epsilon and --rounds (the third is computed), got " +
                   std::to_string(given));
  }
  plan.delta = options.delta.value_or(1e-6);
  plan.terms.sampling_rate = options.sampling_rate.value_or(1);
  plan.accountant = RingAccountant(plan.terms.sampling_rate);
  if (options.accountant == "exact") plan.accountant = Accountant::kExactGaussian;
  if (options.accountant == "rdp") plan.accountant = Accountant::kRenyi;
  if (options.accountant == "zcdp") plan.accountant = Accountant::kZeroConcentrated;
  plan.solved = !options.noise ? "noise" : options.rounds ? "epsilon" : "rounds";
  if (!options.noise) {
    FEDMETA_ASSIGN_OR_RETURN(plan.terms.noise_multiplier,
                             NoiseFor(plan.accountant, plan.terms.sampling_rate, *options.rounds,
                                      *options.epsilon, plan.delta));
  } else {
    plan.terms.noise_multiplier = *options.noise;
  }
  if (options.rounds) {
    plan.rounds = *options.rounds;
  } else {
    FEDMETA_ASSIGN_OR_RETURN(
        plan.rounds, ReleasesWithin(plan.accountant, plan.terms, *options.epsilon, plan.delta));
  }
  FEDMETA_ASSIGN_OR_RETURN(const PrivacySpent spent,
                           SpentBy(plan.accountant, plan.terms, plan.rounds, plan.delta));
  plan.epsilon = spent.epsilon;
  if (plan.terms.sampling_rate < 1) {
    plan.assumptions.push_back(
        "each client is in a round by its own secret draw: true in no live "
        "federation, where the coordinator chooses");
  }
  return {};
}

struct Bound {
  Accountant accountant;
  PrivacySpent spent;
};
/// By every accountant that knows this sampling rate.
std::vector<Bound> AllBounds(const Plan& plan) {
  std::vector<Bound> bounds;
  for (const Accountant accountant :
       {Accountant::kExactGaussian, Accountant::kZeroConcentrated, Accountant::kRenyi}) {
    const auto spent = SpentBy(accountant, plan.terms, plan.rounds, plan.delta);
    if (spent.ok()) bounds.push_back({accountant, *spent});
  }
  return bounds;
}

std::string Describe(const Bound& bound) {
  switch (bound.accountant) {
    case Accountant::kExactGaussian:
      return "continuous noise, exact";
    case Accountant::kZeroConcentrated:
      return "noise in a ring (what runs are charged by)";
    case Accountant::kRenyi:
      break;
  }
  return "Renyi, order " + Text(*bound.spent.order);
}

void Print(const Plan& plan) {
  const std::string noise = "noise multiplier " + Text(plan.terms.noise_multiplier);
  const std::string rounds = FormatCount(plan.rounds) + (plan.rounds == 1 ? " round" : " rounds");
  const std::string epsilon = "epsilon " + Text(plan.epsilon) + " at delta " + Text(plan.delta);
  const std::string rate = plan.terms.sampling_rate < 1
                               ? ", sampling rate " + Text(plan.terms.sampling_rate)
                               : std::string();
  if (plan.solved == "noise") {
    std::printf("%s for %s of %s%s\n", noise.c_str(), epsilon.c_str(), rounds.c_str(),
                rate.c_str());
  } else if (plan.solved == "rounds") {
    std::printf("%s with %s%s: %s\n", rounds.c_str(), noise.c_str(), rate.c_str(), epsilon.c_str());
  } else {
    std::printf("%s for %s with %s%s\n", epsilon.c_str(), rounds.c_str(), noise.c_str(),
                rate.c_str());
  }
  for (const Bound& bound : AllBounds(plan)) {
    std::printf("  %-6s %-14s %s%s\n", std::string(AccountantName(bound.accountant)).c_str(),
                Text(bound.spent.epsilon).c_str(), Describe(bound).c_str(),
                bound.accountant == plan.accountant ? " *" : "");
  }
  std::printf("assumed\n");
  for (const std::string& one : plan.assumptions) std::printf("  - %s\n", one.c_str());
}

void PrintJson(const Plan& plan) {
  Json bounds = Json::object();
  for (const Bound& bound : AllBounds(plan)) {
    Json& one = bounds[std::string(AccountantName(bound.accountant))];
    one["epsilon"] = bound.spent.epsilon;
    if (bound.spent.order) one["order"] = *bound.spent.order;
  }
  const Json object = {{"solved", plan.solved},
                       {"epsilon", plan.epsilon},
                       {"delta", plan.delta},
                       {"noise_multiplier", plan.terms.noise_multiplier},
                       {"rounds", plan.rounds},
                       {"sampling_rate", plan.terms.sampling_rate},
                       {"accountant", AccountantName(plan.accountant)},
                       {"bounds", bounds},
                       {"assumptions", plan.assumptions}};
  std::printf("%s\n", object.dump().c_str());
}

int RunPrivacy(const PluginTables& tables, PrivacyOptions options) {
  Plan plan;
  Status status;
  if (options.experiment.empty()) {
    plan.assumptions.push_back(kClientUnit);
  } else {
    status = TakeExperiment(tables, options, plan);
  }
  if (status.ok()) status = Solve(options, plan);
  if (!status.ok()) return ReportError(status.error(), options.json);
  if (options.json) {
    PrintJson(plan);
  } else {
    Print(plan);
  }
  return 0;
}

}  // namespace

Command PrivacyCommand(const PluginTables& tables) {
  return {
      .name = "privacy",
      .description =
          "Plan differential privacy: epsilon for a noise, noise for an epsilon, rounds "
          "for a budget.",
      .example =
          "fedmeta privacy --epsilon 3 --rounds 100 --delta 1e-6\n"
          "  fedmeta privacy experiment.yaml --epsilon 3",
      .setup = [tables](CLI::App& app) -> std::function<int()> {
        const auto options = std::make_shared<PrivacyOptions>();
        app.add_option("EXPERIMENT", options->experiment,
                       "An experiment: noise, rounds, delta and sampling are taken from it where "
                       "no option says otherwise");
        app.add_option("OVERRIDES", options->overrides, "key.path=value of the experiment");
        app.add_option("--noise", options->noise,
                       "Noise multiplier: standard deviation of the noise over the clip");
        app.add_option("--epsilon", options->epsilon, "What all rounds together may cost");
        app.add_option("--rounds", options->rounds, "Releases: training rounds x methods");
        app.add_option("--delta", options->delta, "Default: the experiment's, or 1e-6");
        app.add_option("--sampling-rate", options->sampling_rate,
                       "Chance of a client to be in a round, by its own draw (simulation only); "
                       "default: 1");
        app.add_option("--accountant", options->accountant,
                       "exact, zcdp or rdp; default: what runs are charged by")
            ->check(CLI::IsMember({"exact", "zcdp", "rdp"}));
        app.add_flag("--json", options->json, "Machine-readable result on stdout");
        return [tables, options] { return RunPrivacy(tables, *options); };
      }};
}

}  // namespace fedmeta
