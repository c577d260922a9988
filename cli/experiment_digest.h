#pragma once

#include "fedmeta/configs/plugin_tables.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// Of what an initial state and its assignments depend on: name, seed, model, tasks, table, methods,
/// server, compression, and the terms of privacy. Not of paths, rounds or deadlines, which may
/// differ between the machine that made the state and the coordinator's.
Digest InitialStateDigest(const v1::Experiment& experiment, const PluginTables& schema);

}  // namespace fedmeta
