#include "fedmeta/cli/learn_main.h"
#include "sign_reptile.h"
#include "sign_reptile.pb.h"

int main(int argc, char** argv) {
  fedmeta::LearnProgram program = fedmeta::BuiltinLearnProgram();
  program.schema.tables["algorithm"]["sign_reptile"] = consumer::SignReptileSettings::descriptor();
  program.registries.algorithms["sign_reptile"] = consumer::CreateSignReptile;
  return fedmeta::LearnMain(argc, argv, program);
}
