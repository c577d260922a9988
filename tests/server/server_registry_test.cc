#include "fedmeta/algorithms/server/server_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/v1/server.pb.h"

namespace fedmeta {
namespace {

constexpr OptimizerContext kContext{.coordinates = 1, .rounds = 1};

v1::Plugin Named(const std::string& name) {
  v1::Plugin choice;
  choice.set_name(name);
  return choice;
}

std::string OptimizerRefusal(const v1::Plugin& choice) {
  const auto made = MakeOptimizer(BuiltinServer(), choice, kContext);
  return made.ok() ? "accepted" : made.error().message();
}

TEST(ServerRegistryTest, HoldsWhatTheContractNames) {
  const ServerRegistry registry = BuiltinServer();
  for (const char* name : {"sgd", "momentum", "adam", "yogi", "adagrad"})
    EXPECT_TRUE(registry.optimizers.contains(name));
  EXPECT_TRUE(registry.aggregations.contains("weighted_mean"));
}

TEST(ServerRegistryTest, AnUnknownNameGetsTheNearestOne) {
  EXPECT_EQ(OptimizerRefusal(Named("adma")), "unknown optimizer 'adma'; did you mean 'adam'?");
  EXPECT_EQ(MakeAggregator(BuiltinServer(), Named("weightedmean"), {}).error().message(),
            "unknown aggregation 'weightedmean'; did you mean 'weighted_mean'?");
}

TEST(ServerRegistryTest, ANameLikeNoneGetsTheList) {
  EXPECT_EQ(OptimizerRefusal(Named("second_order_newton")),
            "unknown optimizer 'second_order_newton'; known: adagrad, adam, momentum, sgd, yogi");
}

TEST(ServerRegistryTest, SettingsOfAnotherPluginAreRefused) {
  v1::Plugin choice = Named("adam");
  choice.mutable_settings()->PackFrom(v1::SgdSettings());
  EXPECT_EQ(
      OptimizerRefusal(choice),
      "optimizer adam: settings must be a fedmeta.v1.AdamSettings, got a fedmeta.v1.SgdSettings");
}

TEST(ServerRegistryTest, DamagedSettingsAreRefused) {
  v1::Plugin choice = Named("adam");
  choice.mutable_settings()->PackFrom(v1::AdamSettings());
  choice.mutable_settings()->set_value("\xFF");
  EXPECT_EQ(OptimizerRefusal(choice),
            "optimizer adam: settings are not a valid fedmeta.v1.AdamSettings");
}

TEST(ServerRegistryTest, ABadSettingIsNamed) {
  v1::SgdSettings settings;
  settings.set_learning_rate_schedule("sine");
  v1::Plugin choice = Named("sgd");
  choice.mutable_settings()->PackFrom(settings);
  EXPECT_EQ(OptimizerRefusal(choice),
            "optimizer sgd: learning_rate_schedule must be constant, linear or cosine, got 'sine'");
}

// Default of sgd: rate 1, constant. Two kinds of "not set": no settings, and settings without keys.
TEST(ServerRegistryTest, KeysThatAreNotSetTakeTheSchemasDefault) {
  v1::Plugin empty = Named("sgd");
  empty.mutable_settings()->PackFrom(v1::SgdSettings());
  for (const v1::Plugin& choice : {Named("sgd"), empty}) {
    std::vector<float> state = {1};
    MakeOptimizer(BuiltinServer(), choice, kContext)
        .value()
        ->Step(0, state, std::vector<double>{0.25}, 1);
    EXPECT_EQ(state[0], 0.75F);
  }
}

TEST(ServerRegistryTest, AConsumerAddsItsOwn) {
  ServerRegistry registry = BuiltinServer();
  registry.optimizers["mine"] = registry.optimizers.at("sgd");
  EXPECT_TRUE(MakeOptimizer(registry, Named("mine"), kContext).ok());
  EXPECT_FALSE(BuiltinServer().optimizers.contains("mine"));
}

}  // namespace
}  // namespace fedmeta
