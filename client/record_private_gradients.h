#pragma once

#include <memory>

#include "fedmeta/algorithms/meta/task_gradients.h"
#include "fedmeta/v1/differential_privacy.pb.h"

namespace fedmeta {

/// Gradients of a site's records under differential privacy at record level (Abadi 2016, "Deep
/// learning with differential privacy", algorithm 1): Compute takes the gradient of each record of
/// the set by itself, scales it to an L2 norm of at most `clip`, and gives their sum with noise,
/// divided by the number of records. The sum is rounded to a grid and the noise is discrete
/// Gaussian on it, with standard deviation noise_multiplier x (clip + sqrt(P) / 2^24 clip), the
/// second term being what rounding both of two neighbouring sums can add. Whatever is made of the
/// gradients costs nothing more.
///
/// Everything else that could tell about records is left out: Compute's loss and sums and Measure
/// give a loss of 0 and only how many records there are (a training loop's check for divergence
/// then never fires), Compute refuses curvature, Outputs and Statistics refuse (they
/// throw std::invalid_argument). Weights of a set are left out: they depend on other records. The
/// model must not mix records: no batch statistics.
///
/// Not reproducible, by design: the noise is the operating system's. As slow as one Compute a
/// record. Thread-compatible, like what it wraps; one a worker.
std::unique_ptr<TaskGradients> MakeRecordPrivateGradients(std::unique_ptr<TaskGradients> gradients,
                                                          const v1::PrivacyTerms& terms);

}  // namespace fedmeta
