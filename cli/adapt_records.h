#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "fedmeta/client/adapt.h"

namespace fedmeta {

// The figures of an adaptation for scripts and for people.

/// An entry of adapt.json.
nlohmann::json AdaptedJson(const AdaptedSite& site);
/// Methods as rows, steps as columns, the chosen setting last with its interval; the first site is
/// the main method's. Below it how its settings were chosen, and its further figures.
std::string AdaptedText(const std::vector<AdaptedSite>& sites);
/// "fedmeta (maml)".
std::string MethodTitle(const std::string& method);
/// "0.84 (0.79 to 0.89)".
std::string EstimateText(const Estimate& estimate);

}  // namespace fedmeta
