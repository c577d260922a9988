#include "fedmeta/client/data/partition.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <span>
#include <utility>

#include "fedmeta/client/data/class_split.h"
#include "fedmeta/client/data/partition_rows.h"
#include "fedmeta/core/rng.h"

namespace fedmeta {
namespace {

Error Refuse(const std::string& why) { return {ErrorCode::kInvalidArgument, why}; }

/// How many clients have which role, in their order.
struct Roles {
  std::size_t clients = 0;
  std::size_t validation = 0;
  std::size_t holdout = 0;

  v1::Role of(std::size_t client) const {
    if (client >= clients - holdout) return v1::ROLE_HOLDOUT;
    return client >= clients - holdout - validation ? v1::ROLE_VALIDATION : v1::ROLE_TRAIN;
  }
};

Result<Roles> CountRoles(const v1::Partition& settings, std::size_t clients) {
  if (clients == 0) return Refuse("partition.clients must be at least 1, got 0");
  const std::size_t aside = std::size_t{settings.holdout_clients()} + settings.validation_clients();
  if (aside >= clients) {
    return Refuse("partition.holdout_clients " + std::to_string(settings.holdout_clients()) +
                  " and partition.validation_clients " +
                  std::to_string(settings.validation_clients()) +
                  " leave no client to train of partition.clients " + std::to_string(clients));
  }
  return Roles{.clients = clients,
               .validation = settings.validation_clients(),
               .holdout = settings.holdout_clients()};
}

std::string NumberedName(std::size_t client, std::size_t clients) {
  const std::size_t width = std::to_string(clients).size();
  std::string number = std::to_string(client + 1);
  number.insert(0, width - number.size(), '0');
  return "site-" + number;
}

/// The client's own numbering of its classes.
std::vector<std::int64_t> OwnCodes(std::vector<std::size_t> held, std::size_t classes,
                                   const std::string& client, std::uint64_t seed) {
  Rng rng({.seed = seed, .purpose = "partition", .client = client});
  rng.Shuffle(std::span(held));
  std::vector<std::int64_t> code_of(classes, -1);
  for (std::size_t code = 0; code < held.size(); ++code) {
    code_of[held[code]] = static_cast<std::int64_t>(code);
  }
  return code_of;
}

/// A source without a table: clients are names.
class FormulaPartition final : public Partition {
 public:
  explicit FormulaPartition(Roles roles) : roles_(roles) {}
  std::size_t clients() const override { return roles_.clients; }
  std::string name(std::size_t client) const override {
    return NumberedName(client, roles_.clients);
  }
  v1::Role role(std::size_t client) const override { return roles_.of(client); }
  Result<DatasetView> view(std::size_t) const override { return DatasetView{}; }
  std::int64_t largest_label_set() const override { return 0; }

 private:
  Roles roles_;
};

/// Every client draws from the rows of its role's classes: nothing is kept per client.
class SharedPartition final : public Partition {
 public:
  SharedPartition(Roles roles, std::shared_ptr<const Dataset> dataset, const ClassSplit& split,
                  bool own_labels, std::uint64_t seed)
      : roles_(roles), dataset_(std::move(dataset)), own_labels_(own_labels), seed_(seed) {
    const RowsByClass all = *GroupByClass(*dataset_, *WholeRows(dataset_->size()));
    const std::array parts = {&split.train, &split.validation, &split.test};
    for (std::size_t i = 0; i < parts.size(); ++i) pools_[i] = MakePool(all, *parts[i]);
  }

  std::size_t clients() const override { return roles_.clients; }
  std::string name(std::size_t client) const override {
    return NumberedName(client, roles_.clients);
  }
  v1::Role role(std::size_t client) const override { return roles_.of(client); }
  Result<DatasetView> view(std::size_t client) const override {
    const Pool& pool = PoolOf(role(client));
    DatasetView view{.dataset = dataset_, .rows = pool.rows};
    view.by_class = pool.by_class;
    if (own_labels_) {
      view.code_of = OwnCodes(pool.classes, static_cast<std::size_t>(dataset_->classes()),
                              name(client), seed_);
    }
    return view;
  }
  std::int64_t largest_label_set() const override {
    if (!own_labels_) return dataset_->classes();
    std::size_t largest = 0;
    for (std::size_t i = 0; i < roles_.clients; ++i) {
      largest = std::max(largest, PoolOf(role(i)).classes.size());
    }
    return static_cast<std::int64_t>(largest);
  }

 private:
  struct Pool {
    std::vector<std::size_t> classes;  // that have rows
    std::shared_ptr<const std::vector<std::uint32_t>> rows;
    std::shared_ptr<const RowsByClass> by_class;
  };

  Pool MakePool(const RowsByClass& all, const std::vector<std::size_t>& classes) const {
    std::vector<std::uint32_t> rows;
    Pool pool;
    for (const std::size_t c : classes) {
      const std::span<const std::uint32_t> of_class = all.of(c);
      if (!of_class.empty()) pool.classes.push_back(c);
      rows.insert(rows.end(), of_class.begin(), of_class.end());
    }
    std::sort(rows.begin(), rows.end());
    pool.by_class = GroupByClass(*dataset_, rows);
    pool.rows = std::make_shared<const std::vector<std::uint32_t>>(std::move(rows));
    return pool;
  }
  const Pool& PoolOf(v1::Role role) const {
    return pools_[role == v1::ROLE_HOLDOUT ? 2 : role == v1::ROLE_VALIDATION ? 1 : 0];
  }

  Roles roles_;
  std::shared_ptr<const Dataset> dataset_;
  bool own_labels_;
  std::uint64_t seed_;
  std::array<Pool, 3> pools_;  // training, validation, hold-out
};

/// Every client has rows of its own.
class DealtPartition final : public Partition {
 public:
  DealtPartition(Roles roles, std::vector<std::string> names, RowsOfClients rows,
                 std::shared_ptr<const Dataset> dataset, bool own_labels, std::uint64_t seed)
      : roles_(roles),
        names_(std::move(names)),
        dataset_(std::move(dataset)),
        own_labels_(own_labels),
        seed_(seed),
        largest_label_set_(own_labels ? 0 : dataset_->classes()) {
    for (std::vector<std::uint32_t>& each : rows) {
      rows_.push_back(std::make_shared<const std::vector<std::uint32_t>>(std::move(each)));
      if (!own_labels_) continue;
      largest_label_set_ =
          std::max(largest_label_set_, static_cast<std::int64_t>(ClassesOf(*rows_.back()).size()));
    }
  }

  std::size_t clients() const override { return roles_.clients; }
  std::string name(std::size_t client) const override {
    return names_.empty() ? NumberedName(client, roles_.clients) : names_[client];
  }
  v1::Role role(std::size_t client) const override { return roles_.of(client); }
  Result<DatasetView> view(std::size_t client) const override {
    DatasetView view{.dataset = dataset_, .rows = rows_[client]};
    if (own_labels_) {
      view.code_of = OwnCodes(ClassesOf(*rows_[client]),
                              static_cast<std::size_t>(dataset_->classes()), name(client), seed_);
    }
    return view;
  }
  std::int64_t largest_label_set() const override { return largest_label_set_; }

 private:
  std::vector<std::size_t> ClassesOf(const std::vector<std::uint32_t>& rows) const {
    std::vector<bool> present(static_cast<std::size_t>(dataset_->classes()), false);
    for (const std::uint32_t row : rows) {
      present[static_cast<std::size_t>(dataset_->label(row))] = true;
    }
    std::vector<std::size_t> classes;
    for (std::size_t c = 0; c < present.size(); ++c) {
      if (present[c]) classes.push_back(c);
    }
    return classes;
  }

  Roles roles_;
  std::vector<std::string> names_;  // empty: numbered
  std::vector<std::shared_ptr<const std::vector<std::uint32_t>>> rows_;
  std::shared_ptr<const Dataset> dataset_;
  bool own_labels_;
  std::uint64_t seed_;
  std::int64_t largest_label_set_;
};

Result<std::unique_ptr<Partition>> MakeSharedPartition(const v1::Partition& settings,
                                                       const v1::Plugin& tasks, const Roles& roles,
                                                       const OpenedSource& source, bool own_labels,
                                                       std::uint64_t seed) {
  if (tasks.name() == "split") {
    return Refuse(
        "partition.scheme shared makes every client of tasks.name split the same task; use tasks "
        "that draw, such as episodic");
  }
  FEDMETA_ASSIGN_OR_RETURN(const ClassSplit split, SplitClasses(settings, *source.dataset, seed));
  if (roles.validation > 0 && split.validation.empty()) {
    return Refuse("partition.class_split " + settings.class_split() +
                  " has no validation classes: partition.validation_clients must be 0, got " +
                  std::to_string(roles.validation));
  }
  return std::unique_ptr<Partition>(
      std::make_unique<SharedPartition>(roles, source.dataset, split, own_labels, seed));
}

Result<NamedRows> Deal(const v1::Partition& settings, const Dataset& dataset, std::uint64_t seed) {
  const std::string& scheme = settings.scheme();
  if (scheme == "column") {
    if (settings.has_column_file()) return DealByColumn(settings, dataset);
    if (dataset.owners() != nullptr) return DealByOwner(settings, dataset, seed);
    return Refuse(
        "partition.scheme column needs partition.column_file: the source does not say "
        "whose its examples are");
  }
  NamedRows dealt;
  if (scheme == "classes") {
    FEDMETA_ASSIGN_OR_RETURN(dealt.rows, DealClasses(settings, dataset, seed));
  } else if (scheme == "dirichlet") {
    FEDMETA_ASSIGN_OR_RETURN(dealt.rows, DealDirichlet(settings, dataset, seed));
  } else if (scheme == "uniform") {
    FEDMETA_ASSIGN_OR_RETURN(dealt.rows, DealUniform(settings, dataset, seed));
  } else {
    return Refuse("partition.scheme must be classes, dirichlet, uniform, column or shared, got '" +
                  scheme + "'");
  }
  return dealt;
}

}  // namespace

Result<std::unique_ptr<Partition>> MakePartition(const v1::Partition& settings,
                                                 const v1::Plugin& tasks,
                                                 const OpenedSource& source, std::uint64_t seed) {
  const bool by_column = source.dataset && settings.scheme() == "column";
  Roles roles;
  if (!by_column) {
    FEDMETA_ASSIGN_OR_RETURN(roles, CountRoles(settings, settings.clients()));
  }
  if (!source.dataset) return std::unique_ptr<Partition>(std::make_unique<FormulaPartition>(roles));

  const bool own_labels = settings.labels() == "own";
  if (settings.scheme() == "shared") {
    return MakeSharedPartition(settings, tasks, roles, source, own_labels, seed);
  }
  FEDMETA_ASSIGN_OR_RETURN(NamedRows dealt, Deal(settings, *source.dataset, seed));
  if (by_column) {
    FEDMETA_ASSIGN_OR_RETURN(roles, CountRoles(settings, dealt.rows.size()));
  }
  return std::unique_ptr<Partition>(std::make_unique<DealtPartition>(
      roles, std::move(dealt.names), std::move(dealt.rows), source.dataset, own_labels, seed));
}

}  // namespace fedmeta
