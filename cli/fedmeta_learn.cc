#include "fedmeta/cli/learn_main.h"

int main(int argc, char** argv) {
  return fedmeta::LearnMain(argc, argv, fedmeta::BuiltinLearnProgram());
}
