#include "fedmeta/site/disclosure.h"

namespace fedmeta {

std::vector<MetricSums> Disclosed(const v1::Disclose& rule, std::vector<MetricSums> metrics) {
  for (MetricSums& cell : metrics) {
    if (rule.metrics() == "none" || cell.examples < rule.minimum_examples()) cell = {};
  }
  return metrics;
}

}  // namespace fedmeta
