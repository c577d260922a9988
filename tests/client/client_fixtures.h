#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fedmeta/client/leg_runtime.h"
#include "fedmeta/client/trainer.h"
#include "fedmeta/tests/support/temporary_folder.h"
#include "fedmeta/v1/algorithms.pb.h"
#include "fedmeta/v1/data.pb.h"
#include "fedmeta/v1/models.pb.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

template <typename Settings>
v1::Plugin PluginOf(const std::string& name, const Settings& settings) {
  v1::Plugin plugin;
  plugin.set_name(name);
  plugin.mutable_settings()->PackFrom(settings);
  return plugin;
}

LearnRegistries TestRegistries();

/// `classes` clouds of `per_class` points in four dimensions, far enough apart to be learned.
OpenedSource Clouds(std::int64_t classes, std::size_t per_class);

v1::Plugin EpisodicTasks(std::uint32_t ways, std::uint32_t shots, std::uint32_t queries);
v1::Plugin SplitTasks(double support_fraction, double validation_fraction);
v1::Plugin Maml(double rate = 0.1, std::uint32_t steps = 2);
v1::Plugin Fedavg();
v1::Plugin Local();

/// An assignment of a small network over Clouds, with the fingerprint that its layout has.
v1::Assignment MakeAssignment(const v1::Plugin& algorithm, const v1::Plugin& tasks,
                              std::uint32_t outputs);

/// A leg as one client runs it, with an initial state.
struct TestLeg {
  TestLeg(const v1::Assignment& assignment, const OpenedSource& source,
          const std::string& client = "site-1");
  LocalClient self() const { return {.name = client, .tasks = tasks.get()}; }

  std::string client;
  std::unique_ptr<TaskGenerator> tasks;
  std::shared_ptr<const LegRuntime> runtime;
  std::vector<float> state;
};

}  // namespace fedmeta
