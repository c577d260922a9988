#pragma once

#include <memory>
#include <set>
#include <string>

#include "data_testing.h"
#include <gtest/gtest.h>

#include "fedmeta/client/data/partition.h"

namespace fedmeta {

inline v1::Partition Settings(const std::string& scheme, unsigned clients) {
  v1::Partition settings;
  settings.set_scheme(scheme);
  settings.set_clients(clients);
  settings.set_minimum_examples(1);
  settings.set_classes_per_client(2);
  settings.set_alpha(0.5);
  settings.set_labels("shared");
  settings.set_class_split("none");
  return settings;
}

inline std::shared_ptr<FakeTable> Table(std::size_t classes, std::size_t each) {
  return std::make_shared<FakeTable>(std::vector<std::size_t>(classes, each));
}

inline Result<std::unique_ptr<Partition>> Make(const v1::Partition& settings,
                                               const std::shared_ptr<const Dataset>& table,
                                               std::uint64_t seed = 1) {
  return MakePartition(settings, PluginOf("episodic", Episodic(2, 1, 1)), TableSource(table), seed);
}

inline std::unique_ptr<Partition> MustMake(const v1::Partition& settings,
                                           const std::shared_ptr<const Dataset>& table,
                                           std::uint64_t seed = 1) {
  auto made = Make(settings, table, seed);
  EXPECT_TRUE(made.ok()) << made.error().message();
  return std::move(made).value();
}

inline std::string ErrorOf(const v1::Partition& settings,
                           const std::shared_ptr<const Dataset>& table) {
  const auto made = Make(settings, table);
  return made.ok() ? "made" : made.error().message();
}

inline DatasetView ViewOf(const Partition& partition, std::size_t client) {
  return std::move(partition.view(client)).value();
}

inline std::set<std::int64_t> ClassesOf(const DatasetView& view) {
  std::set<std::int64_t> classes;
  for (const std::uint32_t row : *view.rows) classes.insert(view.dataset->label(row));
  return classes;
}

}  // namespace fedmeta
