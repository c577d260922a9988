#include "fedmeta/site/disclosure.h"

#include <gtest/gtest.h>

namespace fedmeta {
namespace {

MetricSums Cell(double examples) {
  MetricSums cell{.examples = examples, .query_loss = 3, .correct = 2, .tasks = 1};
  cell.FinishClient();
  return cell;
}
v1::Disclose Rule(const std::string& metrics, std::uint32_t minimum) {
  v1::Disclose rule;
  rule.set_metrics(metrics);
  rule.set_minimum_examples(minimum);
  return rule;
}
std::vector<double> Examples(const std::vector<MetricSums>& cells) {
  std::vector<double> examples;
  for (const MetricSums& cell : cells) examples.push_back(cell.examples);
  return examples;
}

TEST(DisclosureTest, AggregateAndNamedLeaveFiguresAsTheyAre) {
  for (const char* metrics : {"aggregate", "named"}) {
    const auto cells = Disclosed(Rule(metrics, 0), {Cell(5)});
    EXPECT_EQ(cells.front().ToArray(), Cell(5).ToArray());
  }
}
TEST(DisclosureTest, NoneIsZeros) {
  const auto cells = Disclosed(Rule("none", 0), {Cell(500), Cell(5)});
  for (const MetricSums& cell : cells) EXPECT_EQ(cell.ToArray(), MetricSums().ToArray());
  EXPECT_EQ(cells.size(), 2U);
}
TEST(DisclosureTest, CellsOfTooFewExamplesAreZeros) {
  EXPECT_EQ(Examples(Disclosed(Rule("aggregate", 20), {Cell(19), Cell(20), Cell(21)})),
            (std::vector<double>{0, 20, 21}));
}

}  // namespace
}  // namespace fedmeta
