#pragma once

#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fedmeta/algorithms/models/model.h"
#include "fedmeta/core/bytes.h"
#include "fedmeta/core/result.h"

namespace fedmeta {

// Statistics of normalisation beside theta: where NormalizationStatistics puts them, and how a
// round moves them. Averaged ones stand behind theta in the exchanged state and go through server
// rule `mean`; frozen ones stand there too, and no update can move them; local ones are the
// client's own state (Andreux 2020, "Siloed federated learning", where scale and shift are shared;
// Li 2021, "FedBN", keeps these at the site as well).

/// Whether the exchanged state carries statistics behind theta.
bool StateHasStatistics(const Model& model);
/// Coordinates of a state with theta and such statistics.
std::size_t StateSize(const Model& model);
/// Flat statistics of such a state; undefined where it carries none.
at::Tensor StatisticsOfState(const Model& model, std::span<const float> state,
                             const at::Device& device);

/// What a client keeps between rounds with NormalizationStatistics::kLocal, as bytes.
Bytes PackStatistics(std::span<const float> statistics);
/// Empty for a client that kept nothing yet; an error for bytes of another size.
Result<std::vector<float>> UnpackStatistics(const Model& model, std::span<const std::byte> bytes);

/// running <- (1 - momentum) running + momentum of_round; where there are no running ones yet,
/// those of the round.
std::vector<float> MoveStatistics(std::span<const float> running, std::span<const double> of_round,
                                  double momentum);

}  // namespace fedmeta
