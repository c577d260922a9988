#include "fedmeta/cli/learn_main.h"
#include "sign_reptile.h"
#include "sign_reptile.pb.h"

int main(int argc, char** argv) {
  fedmeta::PluginTables tables = fedmeta::BuiltinPluginTables();
  tables.tables["algorithm"]["sign_reptile"] = consumer::SignReptileSettings::descriptor();
  fedmeta::LearnRegistries registries{
      .models = fedmeta::BuiltinModels(), .algorithms = fedmeta::BuiltinMetaLearners(), .data = fedmeta::BuiltinData()};
  registries.algorithms["sign_reptile"] = consumer::CreateSignReptile;
  return fedmeta::LearnMain(argc, argv, tables, registries);
}
