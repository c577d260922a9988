#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fedmeta {

/// What turns a classifier's outputs z into calibrated ones: z / temperature + intercepts. As it
/// stands it changes nothing.
struct Calibration {
  double temperature = 1;
  std::vector<double> intercepts = {};  ///< one an output; empty: none
  bool changes() const { return temperature != 1 || !intercepts.empty(); }
};

/// Outputs for examples that the model which made them had not seen. `fold` says which of them were
/// predicted by one model: nobody's rows stand in two folds.
struct HeldOutOutputs {
  std::size_t outputs = 0;          ///< of one example
  std::vector<double> values = {};  ///< examples x outputs
  std::vector<std::int64_t> labels = {};
  std::vector<std::size_t> fold = {};
  std::size_t size() const { return labels.size(); }
};

/// Calibration by maximum likelihood with temperature and intercepts drawn towards 1 and 0 as by
/// one example (Platt 1999; Guo 2017, "On calibration of modern neural networks"); with more than
/// 20 outputs the temperature alone. Do no harm: what is fitted to all folds but one must have the
/// lower log-loss on that one, over all of them; else nothing is changed, and `reason` says so.
/// Neither is it below 20 examples or with a single class.
Calibration FitCalibration(const HeldOutOutputs& held_out, std::string& reason);

/// Mean over examples of -log softmax(calibrated outputs)[label].
double LogLoss(const HeldOutOutputs& held_out, const Calibration& calibration);

}  // namespace fedmeta
