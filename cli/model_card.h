#pragma once

#include <string>
#include <vector>

#include "fedmeta/client/adapt.h"
#include "fedmeta/client/data/table_report.h"

namespace fedmeta {

struct ModelCardParts {
  const std::vector<AdaptedSite>& sites;  ///< the main method's first
  const TrainedModel& model;
  const TableReport* report = nullptr;  ///< of a table
  std::string libtorch;
};

/// model_card.md: what the model is for, the data it was adapted to in counts, how good it is, how
/// it was made, where it comes from. Counts below ten are not given, nor can they be computed from
/// those that are.
std::string ModelCard(const ModelCardParts& parts);

}  // namespace fedmeta
