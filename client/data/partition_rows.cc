#include "fedmeta/client/data/partition_rows.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <span>
#include <sstream>
#include <utility>

#include "fedmeta/core/file.h"
#include "fedmeta/core/rng.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

constexpr std::uint64_t kMostRedraws = 1000;

Error Refuse(const std::string& why) { return {ErrorCode::kInvalidArgument, why}; }

// Every class's rows in random order.
RowsByClass ShuffledByClass(const Dataset& dataset, Rng& rng) {
  RowsByClass grouped = *GroupByClass(dataset, *WholeRows(dataset.size()));
  for (std::size_t c = 0; c + 1 < grouped.first.size(); ++c) {
    rng.Shuffle(std::span(grouped.rows).subspan(grouped.first[c], grouped.of(c).size()));
  }
  return grouped;
}

void SortEach(RowsOfClients& rows) {
  for (std::vector<std::uint32_t>& each : rows) std::sort(each.begin(), each.end());
}

// The classes of every client: each takes those that fewest clients hold so far, ties at random,
// among those that still have `examples` rows (0: at least one row a holder).
Result<std::vector<std::vector<std::size_t>>> ChooseClasses(const v1::Partition& settings,
                                                            const RowsByClass& grouped, Rng& rng) {
  const std::size_t classes = grouped.first.size() - 1;
  const std::size_t examples = std::max<std::size_t>(settings.examples_per_class(), 1);
  std::vector<std::size_t> holders(classes, 0);
  std::vector<std::vector<std::size_t>> chosen(settings.clients());
  std::vector<std::size_t> open(classes);
  for (std::size_t client = 0; client < chosen.size(); ++client) {
    open.clear();
    for (std::size_t c = 0; c < classes; ++c) {
      if (grouped.of(c).size() / examples > holders[c]) open.push_back(c);
    }
    if (open.size() < settings.classes_per_client()) {
      return Refuse("partition.classes_per_client " +
                    std::to_string(settings.classes_per_client()) + " cannot be had by client " +
                    std::to_string(client + 1) + " of " + std::to_string(settings.clients()) +
                    ": " + std::to_string(open.size()) + " of " + std::to_string(classes) +
                    " classes have " + std::to_string(examples) +
                    " examples left that no other client holds; ask for fewer clients, classes or "
                    "partition.examples_per_class");
    }
    rng.Shuffle(std::span(open));
    std::stable_sort(open.begin(), open.end(),
                     [&holders](std::size_t a, std::size_t b) { return holders[a] < holders[b]; });
    open.resize(settings.classes_per_client());
    for (const std::size_t c : open) ++holders[c];
    chosen[client] = open;
  }
  return chosen;
}

// Boundaries of the clients' shares of `rows` rows, in proportions from Dirichlet(alpha).
std::vector<std::size_t> DirichletBounds(std::size_t rows, std::size_t clients, double alpha,
                                         Rng& rng) {
  std::vector<double> share(clients);
  for (double& each : share) each = rng.Gamma(alpha);
  double sum = std::accumulate(share.begin(), share.end(), 0.0);
  if (!(sum > 0)) {
    // Every draw underflowed, as happens for a tiny alpha: in the limit one client gets all.
    share[rng.Below(clients)] = 1;
    sum = 1;
  }
  std::vector<std::size_t> bounds(clients + 1, 0);
  double before = 0;
  for (std::size_t client = 0; client < clients; ++client) {
    before += share[client];
    bounds[client + 1] = std::min(
        rows, static_cast<std::size_t>(std::floor(before / sum * static_cast<double>(rows))));
  }
  bounds[clients] = rows;
  return bounds;
}

// A client's name becomes a folder and a certificate's subject.
bool IsClientName(const std::string& name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !name.empty() && name.size() <= 64 && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), allowed);
}

}  // namespace

Result<RowsOfClients> DealClasses(const v1::Partition& settings, const Dataset& dataset,
                                  std::uint64_t seed) {
  Rng rng({.seed = seed, .purpose = "partition"});
  const RowsByClass grouped = ShuffledByClass(dataset, rng);
  FEDMETA_ASSIGN_OR_RETURN(const auto chosen, ChooseClasses(settings, grouped, rng));
  std::vector<std::size_t> holders(grouped.first.size() - 1, 0);
  for (const std::vector<std::size_t>& classes : chosen) {
    for (const std::size_t c : classes) ++holders[c];
  }
  std::vector<std::size_t> dealt(holders.size(), 0);
  RowsOfClients rows(chosen.size());
  for (std::size_t client = 0; client < rows.size(); ++client) {
    for (const std::size_t c : chosen[client]) {
      const std::span<const std::uint32_t> of_class = grouped.of(c);
      const std::size_t turn = dealt[c]++;
      std::size_t begin = turn * settings.examples_per_class();
      std::size_t end = begin + settings.examples_per_class();
      if (settings.examples_per_class() == 0) {
        begin = of_class.size() * turn / holders[c];
        end = of_class.size() * (turn + 1) / holders[c];
      }
      rows[client].insert(rows[client].end(), of_class.begin() + static_cast<std::ptrdiff_t>(begin),
                          of_class.begin() + static_cast<std::ptrdiff_t>(end));
    }
  }
  SortEach(rows);
  return rows;
}

Result<RowsOfClients> DealDirichlet(const v1::Partition& settings, const Dataset& dataset,
                                    std::uint64_t seed) {
  const std::size_t clients = settings.clients();
  Rng rng({.seed = seed, .purpose = "partition"});
  const RowsByClass grouped = ShuffledByClass(dataset, rng);
  std::size_t most_of_smallest = 0;
  for (std::uint64_t attempt = 0; attempt < kMostRedraws; ++attempt) {
    std::vector<std::vector<std::size_t>> bounds;
    std::vector<std::size_t> sizes(clients, 0);
    for (std::size_t c = 0; c + 1 < grouped.first.size(); ++c) {
      bounds.push_back(DirichletBounds(grouped.of(c).size(), clients, settings.alpha(), rng));
      for (std::size_t i = 0; i < clients; ++i) sizes[i] += bounds[c][i + 1] - bounds[c][i];
    }
    const std::size_t smallest = *std::min_element(sizes.begin(), sizes.end());
    most_of_smallest = std::max(most_of_smallest, smallest);
    if (smallest < settings.minimum_examples()) continue;
    RowsOfClients rows(clients);
    for (std::size_t c = 0; c < bounds.size(); ++c) {
      for (std::size_t i = 0; i < clients; ++i) {
        const auto share = grouped.of(c).subspan(bounds[c][i], bounds[c][i + 1] - bounds[c][i]);
        rows[i].insert(rows[i].end(), share.begin(), share.end());
      }
    }
    SortEach(rows);
    return rows;
  }
  return Refuse("partition.minimum_examples " + std::to_string(settings.minimum_examples()) +
                ": none of " + FormatCount(kMostRedraws) + " draws with alpha " +
                FormatNumber(settings.alpha()) + " gave each of " + std::to_string(clients) +
                " clients that many of " + FormatCount(dataset.size()) +
                " examples; the smallest client had " + std::to_string(most_of_smallest) +
                " at best; raise partition.alpha or lower partition.clients");
}

Result<RowsOfClients> DealUniform(const v1::Partition& settings, const Dataset& dataset,
                                  std::uint64_t seed) {
  const std::size_t clients = settings.clients();
  if (dataset.size() / clients < settings.minimum_examples()) {
    return Refuse("partition.minimum_examples " + std::to_string(settings.minimum_examples()) +
                  ": " + FormatCount(dataset.size()) + " examples give each of " +
                  std::to_string(clients) + " clients only " +
                  std::to_string(dataset.size() / clients));
  }
  std::vector<std::uint32_t> shuffled = *WholeRows(dataset.size());
  Rng rng({.seed = seed, .purpose = "partition"});
  rng.Shuffle(std::span(shuffled));
  RowsOfClients rows(clients);
  for (std::size_t i = 0; i < clients; ++i) {
    rows[i].assign(
        shuffled.begin() + static_cast<std::ptrdiff_t>(shuffled.size() * i / clients),
        shuffled.begin() + static_cast<std::ptrdiff_t>(shuffled.size() * (i + 1) / clients));
  }
  SortEach(rows);
  return rows;
}

Result<NamedRows> DealByColumn(const v1::Partition& settings, const Dataset& dataset) {
  FEDMETA_ASSIGN_OR_RETURN(const std::string text, ReadFile(settings.column_file()));
  std::map<std::string, std::vector<std::uint32_t>> by_name;
  std::istringstream in(text);
  std::size_t lines = 0;
  for (std::string name; std::getline(in, name); ++lines) {
    if (!IsClientName(name)) {
      return Refuse("partition.column_file " + settings.column_file() + ", line " +
                    std::to_string(lines + 1) +
                    ": expected a client name of at most 64 letters, digits, '-', '_' and '.'");
    }
    by_name[name].push_back(static_cast<std::uint32_t>(lines));
  }
  if (lines != dataset.size()) {
    return Refuse("partition.column_file " + settings.column_file() + " has " + FormatCount(lines) +
                  " lines, the source has " + FormatCount(dataset.size()) + " examples");
  }
  if (settings.clients() != 0 && settings.clients() != by_name.size()) {
    return Refuse("partition.clients is " + std::to_string(settings.clients()) +
                  ", but partition.column_file names " + std::to_string(by_name.size()) +
                  "; set it to 0");
  }
  NamedRows named;
  for (auto& [name, rows] : by_name) {
    named.names.push_back(name);
    named.rows.push_back(std::move(rows));
  }
  return named;
}

Result<NamedRows> DealByOwner(const v1::Partition& settings, const Dataset& dataset,
                              std::uint64_t seed) {
  const Dataset::Owners& owners = *dataset.owners();
  RowsOfClients by_owner(owners.names.size());
  for (std::size_t row = 0; row < owners.of_row.size(); ++row) {
    by_owner[owners.of_row[row]].push_back(static_cast<std::uint32_t>(row));
  }
  std::vector<std::size_t> chosen;
  for (std::size_t owner = 0; owner < by_owner.size(); ++owner) {
    if (by_owner[owner].size() >= settings.minimum_examples()) chosen.push_back(owner);
  }
  if (settings.clients() > chosen.size()) {
    return Refuse("partition.clients is " + std::to_string(settings.clients()) + ", but " +
                  std::to_string(chosen.size()) + " of the source's " +
                  std::to_string(owners.names.size()) + " owners have partition.minimum_examples " +
                  std::to_string(settings.minimum_examples()) + "; lower one of both");
  }
  if (settings.clients() > 0) {
    Rng rng({.seed = seed, .purpose = "partition"});
    rng.Shuffle(std::span(chosen));
    chosen.resize(settings.clients());
    std::sort(chosen.begin(), chosen.end());
  }
  NamedRows named;
  for (const std::size_t owner : chosen) {
    named.names.push_back(owners.names[owner]);
    named.rows.push_back(std::move(by_owner[owner]));
  }
  return named;
}

}  // namespace fedmeta
