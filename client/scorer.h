#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fedmeta/algorithms/models/model.h"
#include "fedmeta/client/calibration.h"
#include "fedmeta/client/data/dataset.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/state_layout.h"
#include "fedmeta/v1/dictionary.pb.h"

namespace fedmeta {

/// What an exported model is made of.
struct ScorerParts {
  const Model& model;
  /// Of the model, its statistics last where it is to normalise with given ones; and their values.
  std::span<const TensorSpec> tensors;
  std::span<const float> values;
  std::vector<std::int64_t> example_shape = {};
  /// Of a table: how its columns become inputs; without features: inputs come as they are.
  const v1::Dictionary& dictionary;
  std::span<const NumberEncoding> encodings = {};
  bool classifies = true;
  Calibration calibration = {};
  std::vector<std::string> labels = {};  ///< one an output; empty in regression
  std::string description = {};          ///< kept with the model, for people and programs
};

/// The model as a TorchScript module, with everything between a raw record and a probability
/// inside; loads in LibTorch and PyTorch 1.13 and newer.
///
/// forward(rows): float [records, features], one raw column a feature in the dictionary's order and
/// units (attribute `columns`), NaN for a missing value, a category as the place of its level
/// (attribute `levels`); of other data [records, ...] as the source reads them, flattened or not.
/// Gives probabilities [records, outputs] in the order of attribute `labels`, or the outputs of a
/// regression. Values outside a feature's range and unknown levels count as missing; a record that
/// lacks a value which nothing may stand in for (missing: drop_row, refuse) gets NaN.
/// encode(rows) gives the network's inputs, logits(rows) what probabilities are made of.
Result<std::string> MakeScorer(const ScorerParts& parts);

/// An exported model, loaded. Not thread-safe.
class Scorer {
 public:
  static Result<Scorer> Load(const std::filesystem::path& file);
  Scorer(Scorer&&) noexcept;
  Scorer& operator=(Scorer&&) noexcept;
  ~Scorer();

  const std::string& description() const;
  const std::vector<std::string>& labels() const;
  /// `rows`: `count` records. count x outputs values of forward().
  Result<std::vector<float>> Score(std::span<const float> rows, std::size_t count);

 private:
  class Implementation;
  explicit Scorer(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace fedmeta
