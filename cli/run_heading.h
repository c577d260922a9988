#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "fedmeta/coordinator/leg.h"
#include "fedmeta/records/run_observer.h"
#include "fedmeta/v1/experiment.pb.h"

namespace fedmeta {

/// An algorithm as people read it: "maml, 5 steps"; its name alone where its settings have no
/// adaptation_steps. Works for plug-ins of other programs too, whose settings a binary may not
/// know.
std::string DescribeAlgorithm(const v1::Plugin& algorithm);

/// Rule of mode plain_robust; empty in the other modes.
std::string RobustAggregationOf(const v1::Experiment& experiment);
/// What the coordinator sees of updates, for its audit record: "individual updates visible".
std::string WhatIsVisible(const v1::Experiment& experiment);

/// What a run says of itself when it starts.
RunHeading MakeHeading(const v1::Experiment& experiment, std::span<const Leg> legs,
                       const std::filesystem::path& out);

/// The end of a run for scripts: with json the path-free summary on stdout; the exit code of the
/// contract (0, 4 failed, 130 interrupted), with the reason on stderr where the run did not
/// complete.
int FinishRun(const RunSummary& summary, bool json);

}  // namespace fedmeta
