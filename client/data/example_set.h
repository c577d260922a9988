#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fedmeta/client/data/dataset.h"
#include "fedmeta/client/data/task_generator.h"

namespace fedmeta {

/// Room for `count` labelled examples of a dataset.
ExampleSet EmptyExamples(const Dataset& dataset, std::size_t count);

/// Appends example `row` under `label`, its images turned counter-clockwise by `quarter_turns`.
/// Turned images must be square: the last two extents of the example's shape.
void AppendExample(const Dataset& dataset, std::size_t row, std::int64_t label,
                   unsigned quarter_turns, ExampleSet& examples);

/// Turns each of the images that follow one another in `images`, side x side floats each.
void TurnImages(std::span<float> images, std::size_t side, unsigned quarter_turns);

}  // namespace fedmeta
