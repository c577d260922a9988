#include "fedmeta/client/data/example_set.h"

#include <vector>

#include "fedmeta/core/check.h"

namespace fedmeta {
namespace {

std::size_t ExampleWidth(const Dataset& dataset) {
  std::size_t width = 1;
  for (const std::int64_t extent : dataset.example_shape()) {
    width *= static_cast<std::size_t>(extent);
  }
  return width;
}

}  // namespace

ExampleSet EmptyExamples(const Dataset& dataset, std::size_t count) {
  ExampleSet examples;
  examples.example_shape = dataset.example_shape();
  examples.inputs.reserve(count * ExampleWidth(dataset));
  examples.labels.reserve(count);
  return examples;
}

void AppendExample(const Dataset& dataset, std::size_t row, std::int64_t label,
                   unsigned quarter_turns, ExampleSet& examples) {
  const std::size_t width = ExampleWidth(dataset);
  examples.inputs.resize(examples.inputs.size() + width);
  const std::span<float> example = std::span(examples.inputs).last(width);
  dataset.Read(row, example);
  if (quarter_turns % 4 != 0) {
    TurnImages(example, static_cast<std::size_t>(dataset.example_shape().back()), quarter_turns);
  }
  examples.labels.push_back(label);
  ++examples.count;
}

void TurnImages(std::span<float> images, std::size_t side, unsigned quarter_turns) {
  FEDMETA_CHECK(images.size() % (side * side) == 0);
  const std::size_t last = side - 1;
  std::vector<float> upright(side * side);
  for (std::size_t start = 0; start < images.size(); start += side * side) {
    const std::span<float> image = images.subspan(start, side * side);
    upright.assign(image.begin(), image.end());
    for (std::size_t i = 0; i < side; ++i) {
      for (std::size_t j = 0; j < side; ++j) {
        std::size_t from = i * side + j;
        switch (quarter_turns % 4) {
          case 1:
            from = j * side + (last - i);
            break;
          case 2:
            from = (last - i) * side + (last - j);
            break;
          case 3:
            from = (last - j) * side + i;
            break;
          default:
            break;
        }
        image[i * side + j] = upright[from];
      }
    }
  }
}

}  // namespace fedmeta
