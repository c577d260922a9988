#include "fedmeta/tests/configs/config_files.h"

// Keys, plug-ins and YAML that are refused whatever the values are.
namespace fedmeta {
namespace {

TEST(RefusedStructure, AnUnknownKeyIsAnsweredWithTheNearest) {
  EXPECT_EQ(Problems(With(kExperiment, "cohort: 5", "cohorts: 5\n  cohort: 5")),
            "e.yaml:11:3: unknown key 'federation.cohorts'; did you mean 'cohort'?");
}
TEST(RefusedStructure, AnUnknownKeyAtTheTop) {
  EXPECT_EQ(Problems(std::string(kExperiment) + "sede: 1\n"),
            "e.yaml:12:1: unknown key 'sede'; did you mean 'seed'?");
}
TEST(RefusedStructure, AnUnknownKeyWithoutANearOneIsAnsweredWithAll) {
  EXPECT_EQ(Problems(std::string(kExperiment) + "server: {quantum_entanglement: 1}\n"),
            "e.yaml:12:10: unknown key 'server.quantum_entanglement'; known here: aggregation, "
            "optimizer");
}
TEST(RefusedStructure, AnUnknownKeyOfABlockOfBlocks) {
  EXPECT_EQ(Problems(std::string(kExperiment) + "privacy: {epsilon: 1}\n"),
            "e.yaml:12:11: unknown key 'privacy.epsilon'; known here: differential_privacy, "
            "secure_aggregation");
}
TEST(RefusedStructure, AnUnknownKeyOfAPlugin) {
  EXPECT_EQ(Problems(With(kExperiment, "inner_learning_rate", "inner_learning_rat")),
            "e.yaml:8:25: unknown key 'algorithm.inner_learning_rat'; did you mean "
            "'inner_learning_rate'?");
}
TEST(RefusedStructure, TheNamesOfTheMessageFieldsAreNoKeys) {
  EXPECT_EQ(Problems(With(kExperiment, "{name: mlp}", "{name: mlp, settings: {}}")).substr(0, 46),
            "e.yaml:2:20: unknown key 'model.settings'; kno");
}

TEST(RefusedStructure, ADuplicateKey) {
  EXPECT_EQ(Problems(With(kExperiment, "cohort: 5", "cohort: 5\n  rounds: 30")),
            "e.yaml:12:3: the key 'rounds' stands twice, first at e.yaml:10:3; keep one");
}
TEST(RefusedStructure, AMergeKey) {
  EXPECT_EQ(Problems(With(kExperiment, "cohort: 5", "cohort: 5\n  <<: {retries: 1}")),
            "e.yaml:12:3: the merge key '<<' is not supported; write the merged keys out");
}
TEST(RefusedStructure, AnAnchor) {
  EXPECT_EQ(Problems(With(kExperiment, "rounds: 20", "rounds: &r 20")),
            "e.yaml:10:11: an anchor (&name) is not supported; write the value out where it is "
            "needed");
}
TEST(RefusedStructure, AnAlias) {
  const std::string problems =
      Problems(With(kExperiment, "rounds: 20\n  cohort: 5", "rounds: &r 20\n  cohort: *r"));
  EXPECT_NE(problems.find("e.yaml:11:11: an alias (*name) is not supported; write the value out"),
            std::string::npos)
      << problems;
}
TEST(RefusedStructure, ATag) {
  EXPECT_EQ(Problems(With(kExperiment, "name: waves", "name: !!str waves")),
            "e.yaml:1:7: a tag (tag:yaml.org,2002:str) is not supported; the key says the type");
}
TEST(RefusedStructure, AKeyThatIsNoText) {
  const std::string problems = Problems(std::string(kExperiment) + "? [a, b]\n: 1\n");
  EXPECT_EQ(problems.substr(0, problems.find('\n')), "e.yaml:12:3: a key must be text, got a list");
}
TEST(RefusedStructure, ASecondDocument) {
  EXPECT_EQ(Problems(std::string(kExperiment) + "---\nname: other\n"),
            "e.yaml:12:1: a second document (---) starts here; keep one document a file");
}
TEST(RefusedStructure, AnEmptyFile) {
  EXPECT_EQ(Problems(""), "e.yaml:1:1: there is nothing in it; see `fedmeta explain`");
}
TEST(RefusedStructure, AFileOfComments) {
  EXPECT_EQ(Problems("# later\n"), "e.yaml:1:1: there is nothing in it; see `fedmeta explain`");
}
TEST(RefusedStructure, AFileThatIsNoBlock) {
  EXPECT_EQ(Problems("- name: waves\n"),
            "e.yaml:1:1: the file must be a block of keys, got a list");
}
TEST(RefusedStructure, TextThatIsNoYaml) {
  EXPECT_EQ(Problems("name: [waves\nmodel: {name: mlp}\n"),
            "e.yaml:2:6: not readable as YAML: end of sequence flow not found");
}
TEST(RefusedStructure, BytesThatAreNoUtf8) {
  EXPECT_EQ(Problems("seed: 1\nname: w\xe4ves\n"), "e.yaml:2:8: not UTF-8; save the file as UTF-8");
}
TEST(RefusedStructure, AControlCharacterThatWouldEndTheText) {
  EXPECT_EQ(Problems("seed: 1\n\x04name: waves\n"), "e.yaml:2:1: a control character; remove it");
}

TEST(RefusedStructure, ARequiredKeyThatIsMissing) {
  EXPECT_EQ(Problems(With(kExperiment, "\n  cohort: 5", "")),
            "e.yaml:9:1: federation.cohort is required: Clients asked in each round.");
}
TEST(RefusedStructure, ARequiredBlockThatIsMissing) {
  EXPECT_EQ(Problems(With(kExperiment, "federation:\n  rounds: 20\n  cohort: 5\n", "")),
            "e.yaml:1:1: federation is required: Rounds, cohort, deadlines.");
}

TEST(RefusedStructure, AnUnknownPlugin) {
  EXPECT_EQ(Problems(With(kExperiment, "maml", "mamml")),
            "e.yaml:8:19: algorithm.name must be one of constant, fedavg, fomaml, local, maml, "
            "pooled, reptile, got "
            "'mamml'; did you mean 'maml'?");
}
TEST(RefusedStructure, APluginWithoutAName) {
  EXPECT_EQ(Problems(With(kExperiment, "{name: mlp}", "{hidden: [10]}")),
            "e.yaml:2:1: model.name is required, one of char_lstm, conv4, mlp");
}
TEST(RefusedStructure, ANameWhereAPluginBlockBelongs) {
  EXPECT_EQ(Problems(With(kExperiment, "{name: mlp}", "mlp")),
            "e.yaml:2:8: model must be a block with a name, such as {name: char_lstm}, got 'mlp'");
}
TEST(RefusedStructure, OnePluginWhereAListOfThemBelongs) {
  EXPECT_EQ(Problems(std::string(kExperiment) + "evaluation: {baselines: {name: local}}\n"),
            "e.yaml:12:14: evaluation.baselines must be a list of plug-ins, got a block of keys");
}
TEST(RefusedStructure, AGridWhereOneValueBelongs) {
  EXPECT_EQ(Problems(std::string(kExperiment) +
                     "server: {optimizer: {name: adam, learning_rate: [0.1, 0.2]}}\n"),
            "e.yaml:12:34: server.optimizer.learning_rate must be one number, got a list");
}
TEST(RefusedStructure, AnEmptyGrid) {
  EXPECT_EQ(Problems(With(kExperiment, "0.1", "[]")),
            "e.yaml:8:25: algorithm.inner_learning_rate must be a value or a list of at least one");
}
TEST(RefusedStructure, ABadElementOfAGridIsSaidOnce) {
  EXPECT_EQ(Problems(With(kExperiment, "inner_learning_rate: 0.1",
                          "inner_learning_rate: [0.1, -1], adaptation_steps: [1, 2, 3]")),
            "e.yaml:8:52: algorithm.inner_learning_rate[1] must be > 0, got -1");
}
TEST(RefusedStructure, AGridThatRepeatsAValue) {
  EXPECT_EQ(Problems(With(kExperiment, "0.1", "[0.1, 0.10]")),
            "e.yaml:8:52: algorithm.inner_learning_rate[1] repeats 0.10");
}
TEST(RefusedStructure, AGridOfTooManySettings) {
  std::string ten = "1";
  for (int i = 2; i <= 11; ++i) ten += ", " + std::to_string(i);
  // 11 x 11 x 11 = 1,331 settings.
  EXPECT_EQ(Problems(With(kExperiment, "inner_learning_rate: 0.1",
                          "inner_learning_rate: [" + ten + "], adaptation_steps: [" + ten +
                              "], tasks_per_round: [" + ten + "]")),
            "e.yaml:8:138: algorithm asks for more than 1000 settings, the product of its lists; "
            "shorten one");
}

TEST(RefusedStructure, EverythingWrongIsSaidAtOnceInReadingOrder) {
  std::string yaml = With(kExperiment, "rounds: 20", "rounds: -2");
  yaml = With(yaml, "name: waves", "nmae: waves");
  yaml = With(yaml, "{name: mlp}", "{name: mlp, hidden: [0]}");
  const auto result = Parse(yaml, {"federation.cohort=0"});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message(),
            "e.yaml:1:1: name is required: Names the run folder and the experiment on the wire: "
            "letters, digits, '-', '_'.\n"
            "e.yaml:1:1: unknown key 'nmae'; did you mean 'name'?\n"
            "e.yaml:2:29: model.hidden[0] must be >= 1 and <= 65536, got 0\n"
            "e.yaml:10:11: federation.rounds must be >= 0 and <= 100000000, got -2\n"
            "argument 1: federation.cohort must be >= 1, got 0\n"
            "5 problems. Nothing was started.");
}

}  // namespace
}  // namespace fedmeta
