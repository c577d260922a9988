#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "fedmeta/cli/commands.h"
#include "fedmeta/cli/coordinator_files.h"
#include "fedmeta/cli/experiment_digest.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/coordinator/leg.h"
#include "fedmeta/coordinator/offer.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/file.h"
#include "fedmeta/identity/credentials.h"
#include "fedmeta/identity/endorsement.h"

namespace fedmeta {
namespace {

struct SignArguments {
  std::string experiment, initial_state, certificate, key, trust, out;
  std::vector<std::string> overrides;
};

Status SignExperiment(const PluginTables& schema, const SignArguments& arguments) {
  const SystemClock clock;
  FEDMETA_ASSIGN_OR_RETURN(const auto experiment,
                           Loader(schema).LoadExperiment(arguments.experiment, arguments.overrides,
                                                         Loader::RunKind::kLive));
  FEDMETA_ASSIGN_OR_RETURN(
      const std::vector<Leg> legs,
      ReadLegs(arguments.initial_state, InitialStateDigest(*experiment, schema)));
  v1::Identity files;
  files.set_certificate(arguments.certificate);
  files.set_key(arguments.key);
  files.set_trust(arguments.trust);
  FEDMETA_ASSIGN_OR_RETURN(const Credentials researcher,
                           LoadCredentials(files, IdentityRole::kResearcher, clock));
  const Digest offer = ExperimentOffer(*experiment, legs).hash();
  FEDMETA_ASSIGN_OR_RETURN(const std::string endorsement,
                           MakeEndorsement(researcher, experiment->name(), offer, clock.Wall()));
  const std::filesystem::path out = arguments.out.empty() ? EndorsementFile(arguments.experiment)
                                                          : std::filesystem::path(arguments.out);
  FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(out, std::string_view(endorsement)));
  std::printf("%s  %s for %s, which sites approve as %s; keep it beside the coordinator's file\n",
              out.c_str(), researcher.identity.ToString().c_str(), experiment->name().c_str(),
              offer.hex().c_str());
  return {};
}

}  // namespace

Command SignCommand(const PluginTables& schema) {
  return {
      .name = "sign",
      .description =
          "A researcher's signature for an experiment, which sites may ask for "
          "(policy.allow.researchers).",
      .example =
          "fedmeta sign experiment.yaml --initial-state initial.safetensors "
          "--certificate lea.pem --key lea.key --trust federation-ca.pem",
      .setup = [schema](CLI::App& app) -> std::function<int()> {
        const auto arguments = std::make_shared<SignArguments>();
        app.add_option("experiment", arguments->experiment, "EXPERIMENT.yaml")->required();
        app.add_option("overrides", arguments->overrides,
                       "key.path=value ... with which the coordinator will run it");
        app.add_option("--initial-state", arguments->initial_state,
                       "What `fedmeta init` made of it")
            ->required();
        app.add_option("--certificate", arguments->certificate,
                       "Of spiffe://<federation>/researcher/<name>")
            ->required();
        app.add_option("--key", arguments->key, "Its key")->required();
        app.add_option("--trust", arguments->trust, "The federation's authority, PEM")->required();
        app.add_option("--out", arguments->out, "Default: EXPERIMENT.yaml.signature");
        return [schema, arguments] {
          const Status done = SignExperiment(schema, *arguments);
          return done.ok() ? 0 : ReportError(done.error());
        };
      }};
}

}  // namespace fedmeta
