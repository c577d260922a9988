#pragma once

#include <vector>

#include "fedmeta/configs/problem.h"
#include "fedmeta/configs/source_map.h"
#include "fedmeta/v1/client.pb.h"
#include "fedmeta/v1/coordinator.pb.h"

namespace fedmeta {

// What the schema cannot say about the client's and the coordinator's files: the form of names and
// addresses. Like CheckExperiment they look only at keys that are set.

void CheckClient(const v1::ClientFile& file, const SourceMap& places,
                 std::vector<Problem>& problems);
void CheckCoordinator(const v1::CoordinatorFile& file, const SourceMap& places,
                      std::vector<Problem>& problems);

}  // namespace fedmeta
