#include "fedmeta/simulator/sites.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fedmeta/client/data/site_partition.h"
#include "fedmeta/configs/loader.h"
#include "fedmeta/core/bytes.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/text.h"
#include "fedmeta/protocol/dictionary.h"

namespace fedmeta {
namespace {

struct OpenedSite {
  OpenedSource source;
  v1::Role role = v1::ROLE_TRAIN;
};

Result<OpenedSite> OpenOne(const std::string& file, const v1::Experiment& experiment,
                           const DataRegistry& registry, const PluginTables& schema) {
  FEDMETA_ASSIGN_OR_RETURN(const auto client, Loader(schema).LoadClient(file));
  const std::string& name = experiment.data().name();
  const auto data = client->data().find(name);
  if (data == client->data().end()) {
    return Error(ErrorCode::kInvalidArgument, "has no section data." + name);
  }
  FEDMETA_ASSIGN_OR_RETURN(OpenedSource source,
                           OpenSite(registry, data->second, client->resources()));
  OpenedSite site{.source = {}, .role = RoleOf(data->second)};
  FEDMETA_ASSIGN_OR_RETURN(site.source,
                           ReadTable(std::move(source), DictionaryOf(experiment.data())));
  if (!site.source.dataset) {
    return Error(ErrorCode::kInvalidArgument, "data." + name + ".source has no rows of its own");
  }
  return site;
}

}  // namespace

Result<SimulationData> OpenSites(const v1::Experiment& experiment, const DataRegistry& registry,
                                 const PluginTables& schema) {
  SimulationData data;
  std::vector<SiteDataset> sites;
  std::vector<std::string> problems;
  std::set<std::string> names;
  DigestBuilder fingerprint;
  std::size_t training = 0;
  std::set<std::string> left_out = {experiment.data().partition().holdout_sites().begin(),
                                    experiment.data().partition().holdout_sites().end()};
  for (const std::string& file : experiment.data().partition().site_files()) {
    const std::string name = std::filesystem::path(file).stem().string();
    if (!names.insert(name).second) {
      problems.push_back("two of partition.site_files are called '" + name +
                         "': sites need names of their own");
      continue;
    }
    left_out.erase(name);
    Result<OpenedSite> site = OpenOne(file, experiment, registry, schema);
    if (!site.ok()) {
      problems.push_back("site " + name + ": " + site.error().message());
      continue;
    }
    const auto& held_out = experiment.data().partition().holdout_sites();
    if (std::ranges::find(held_out, name) != held_out.end()) site->role = v1::ROLE_HOLDOUT;
    fingerprint.Add(AsBytes(name + "\n" + site->source.fingerprint.bytes()));
    if (const Status able = CanTakePart(registry, experiment, site->source, name, site->role);
        !able.ok()) {
      data.skipped.push_back({.name = name, .reason = able.error().message()});
      continue;
    }
    if (sites.empty()) data.source = site->source;
    if (site->source.input_shape != data.source.input_shape) {
      problems.push_back("site " + name + ": its examples have another shape than those of site " +
                         sites.front().name);
      continue;
    }
    training += site->role == v1::ROLE_TRAIN ? 1 : 0;
    sites.push_back({.name = name, .role = site->role, .dataset = site->source.dataset});
  }
  for (const std::string& name : left_out) {
    problems.push_back("partition.holdout_sites: no site of partition.site_files is called '" +
                       name + "'");
  }
  if (problems.empty() && training < experiment.federation().cohort()) {
    problems.push_back(
        "federation.cohort must be <= the training sites that have enough rows, "
        "which are " +
        std::to_string(training) + ", got " + std::to_string(experiment.federation().cohort()));
  }
  if (!problems.empty()) return Error(ErrorCode::kInvalidArgument, Join(problems, "\n"));
  data.source.fingerprint = fingerprint.Finish();
  data.partition = MakeSitePartition(std::move(sites));
  return data;
}

}  // namespace fedmeta
