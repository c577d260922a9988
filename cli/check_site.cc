#include "fedmeta/cli/check_site.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "fedmeta/cli/check_table.h"
#include "fedmeta/client/data/table_report.h"
#include "fedmeta/core/text.h"
#include "fedmeta/protocol/dictionary.h"

namespace fedmeta {
namespace {

using Json = Findings::Json;

/// A number for what each row says, label included; ascending.
std::vector<std::uint64_t> RowHashes(const Dataset& dataset) {
  std::vector<float> example(static_cast<std::size_t>(dataset.example_shape().front()) + 1);
  std::vector<std::uint64_t> hashes;
  hashes.reserve(dataset.size());
  for (std::size_t row = 0; row < dataset.size(); ++row) {
    dataset.Read(row, std::span(example).first(example.size() - 1));
    example.back() = static_cast<float>(dataset.label(row));
    hashes.push_back(std::hash<std::string_view>{}(std::string_view(
        reinterpret_cast<const char*>(example.data()), example.size() * sizeof(float))));
  }
  std::sort(hashes.begin(), hashes.end());
  return hashes;
}

/// Where all features are categories, equal rows are nothing remarkable.
bool HasNumbers(const v1::Data& data) {
  return std::any_of(data.features().begin(), data.features().end(),
                     [](const v1::Feature& feature) { return feature.levels().empty(); });
}

void WarnOfRepeatedRows(const Dataset& dataset, const std::string& label, Findings& findings) {
  const std::vector<std::uint64_t> hashes = RowHashes(dataset);
  std::uint64_t repeated = 0;
  for (std::size_t i = 1; i < hashes.size(); ++i) repeated += hashes[i] == hashes[i - 1] ? 1 : 0;
  if (repeated == 0) return;
  findings.Warn(label + ": " + ShownCount(repeated) +
                " rows repeat another row, label included, and come to both sides of a split: "
                "remove them, or name under group the column that says whose records they are");
}

struct CheckedSite {
  std::string name;
  bool trains = false;
  std::vector<std::uint64_t> rows;
};

void WarnOfSharedRows(const std::vector<CheckedSite>& sites, Findings& findings) {
  for (const CheckedSite& site : sites) {
    if (site.trains) continue;
    std::vector<std::uint64_t> shared;
    for (const CheckedSite& other : sites) {
      if (!other.trains) continue;
      std::set_intersection(site.rows.begin(), site.rows.end(), other.rows.begin(),
                            other.rows.end(), std::back_inserter(shared));
    }
    if (shared.empty()) continue;
    findings.Warn("site " + site.name + " never trains, but " + ShownCount(shared.size()) +
                  " of its rows are rows of training sites too: its figures are flattered");
  }
}

}  // namespace

void DescribeSource(const OpenedSource& source, const std::string& name, const std::string& label,
                    Findings& findings) {
  std::vector<std::string> extents;
  for (const std::int64_t extent : source.input_shape) extents.push_back(std::to_string(extent));
  std::string text = name + ", examples of shape " + Join(extents, "x");
  Json value = {{"source", name}, {"input_shape", source.input_shape}};
  if (source.dataset) {
    const std::size_t size = source.dataset->size();
    text += ", " + FormatCount(size) + (size == 1 ? " example, " : " examples, ") +
            FormatCount(static_cast<std::uint64_t>(source.dataset->classes())) + " classes";
    value["examples"] = size;
    value["classes"] = source.dataset->classes();
  }
  findings.Fact(label, text, value);
}

std::optional<OpenedSource> CheckSiteData(const DataRegistry& registry,
                                          const v1::ClientFile& client, const std::string& name,
                                          const v1::Experiment* experiment,
                                          const std::string& label, Findings& findings) {
  const v1::SiteData& site = client.data().at(name);
  auto source = OpenSite(registry, site, client.resources());
  if (!source.ok()) {
    findings.Fail(source.error().WithContext(label));
    return std::nullopt;
  }
  if (!source->table) {
    DescribeSource(*source, site.source().name(), label, findings);
    return std::move(*source);
  }
  if (experiment == nullptr) {
    CountTable(*source->table, label, findings);
    return std::nullopt;
  }
  auto dataset = CheckTable(*source->table, DictionaryOf(experiment->data()), label, findings);
  if (!dataset) return std::nullopt;
  if (dataset->groups().empty() && HasNumbers(experiment->data()))
    WarnOfRepeatedRows(*dataset, label, findings);
  return TableAsSource(std::move(dataset));
}

void CheckSiteFiles(const Loader& loader, const DataRegistry& registry,
                    const v1::Experiment& experiment, Findings& findings) {
  const v1::Partition& partition = experiment.data().partition();
  const std::string& data = experiment.data().name();
  const std::set<std::string> held_out(partition.holdout_sites().begin(),
                                       partition.holdout_sites().end());
  std::vector<CheckedSite> sites;
  std::set<std::string> names;
  std::size_t training = 0;
  for (const std::string& file : partition.site_files()) {
    const std::string name = std::filesystem::path(file).stem().string();
    const std::string label = "site " + name;
    const auto refuse = [&](const std::string& why) {
      findings.Fail(Error(ErrorCode::kInvalidArgument, label + why));
    };
    if (!names.insert(name).second) {
      refuse(": another of partition.site_files has this name; sites need names of their own");
      continue;
    }
    const auto client = loader.LoadClient(file);
    if (!client.ok()) {
      findings.Fail(client.error().WithContext(label));
      continue;
    }
    const auto section = (*client)->data().find(data);
    if (section == (*client)->data().end()) {
      refuse(" has no section data." + data);
      continue;
    }
    const auto source = CheckSiteData(registry, **client, data, &experiment, label, findings);
    if (!source) continue;
    if (!source->dataset) {
      refuse(": data." + data + ".source has no rows of its own");
      continue;
    }
    const v1::Role role = held_out.contains(name) ? v1::ROLE_HOLDOUT : RoleOf(section->second);
    if (const Status able = CanTakePart(registry, experiment, *source, name, role); !able.ok()) {
      findings.Warn(label + " takes no part: " + able.error().message());
      continue;
    }
    CheckedSite& site = sites.emplace_back();
    site.name = name;
    site.trains = role == v1::ROLE_TRAIN;
    if (!experiment.data().features().empty() && HasNumbers(experiment.data()))
      site.rows = RowHashes(*source->dataset);
    training += site.trains ? 1 : 0;
  }
  WarnOfSharedRows(sites, findings);
  findings.Fact("clients",
                FormatCount(sites.size()) + " (" + FormatCount(sites.size() - training) +
                    " of them never train)",
                {{"all", sites.size()}, {"train", training}});
  if (experiment.federation().cohort() > training) {
    findings.Fail(Error(ErrorCode::kInvalidArgument,
                        "federation.cohort must be <= the training sites that have enough rows, "
                        "which are " +
                            std::to_string(training) + ", got " +
                            std::to_string(experiment.federation().cohort())));
  }
}

}  // namespace fedmeta
