#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fedmeta/client/data/dataset.h"
#include "fedmeta/client/data/partition.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {

/// A site of a simulation that has data of its own.
struct SiteDataset {
  std::string name;
  v1::Role role = v1::ROLE_TRAIN;
  std::shared_ptr<const Dataset> dataset;
};

/// Scheme sites: every client holds the whole of its own dataset, under the dataset's labels.
/// Training sites first, then validation, then hold-outs, each by name. At least one site.
std::unique_ptr<Partition> MakeSitePartition(std::vector<SiteDataset> sites);

}  // namespace fedmeta
