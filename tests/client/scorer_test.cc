#include "fedmeta/client/scorer.h"

#include <cmath>
#include <limits>

#include "client_fixtures.h"
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "fedmeta/client/data/table_builder.h"
#include "fedmeta/core/file.h"
#include "fedmeta/tests/support/temporary_folder.h"

namespace fedmeta {
namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

v1::Dictionary Hearts() {
  v1::Dictionary dictionary;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
    features { name: "chol" kind: "number" missing: "median" unknown: "refuse" range: 50 range: 700 }
    features { name: "sex" kind: "category" levels: "female" levels: "male" missing: "zero_with_flag"
               unknown: "refuse" }
    features { name: "age" kind: "number" missing: "drop_row" unknown: "refuse" impute: 50 }
    label { name: "ill" kind: "category" levels: "no" levels: "yes" }
    standardize: "local")",
                                                            &dictionary));
  return dictionary;
}

/// Rows of cells that are there already.
class Cells final : public RowReader {
 public:
  explicit Cells(std::vector<std::vector<std::string>> rows) : rows_(std::move(rows)) {}
  const std::vector<std::string>& columns() const override { return columns_; }
  Result<bool> Next(std::vector<std::string_view>& cells) override {
    if (at_ == rows_.size()) return false;
    cells.assign(rows_[at_].begin(), rows_[at_].end());
    ++at_;
    return true;
  }
  char decimal_mark() const override { return '.'; }
  Digest Fingerprint() override { return {}; }

 private:
  const std::vector<std::string> columns_ = {"chol", "sex", "age", "ill"};
  std::vector<std::vector<std::string>> rows_;
  std::size_t at_ = 0;
};

class ScorerTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Dataset> Table() {
    RawTable table;
    table.open = []() -> Result<std::unique_ptr<RowReader>> {
      return std::unique_ptr<RowReader>(std::make_unique<Cells>(
          std::vector<std::vector<std::string>>{{"201.7", "male", "51", "yes"},
                                                {"", "", "37.25", "no"},
                                                {"333.3", "female", "62", "no"}}));
    };
    table.stamp = [] { return std::string(); };
    const auto read = BuildUsableTable(table, Hearts());
    EXPECT_TRUE(read.ok()) << read.error().message();
    const std::vector<std::uint32_t> rows = {0, 1, 2};
    return Fitted(*read, rows);
  }

  Scorer MustLoad(const ScorerParts& parts) {
    const Result<std::string> bytes = MakeScorer(parts);
    EXPECT_TRUE(bytes.ok()) << bytes.error().message();
    const std::filesystem::path file = folder_.path() / "model.pt";
    EXPECT_TRUE(WriteFileAtomically(file, *bytes).ok());
    Result<Scorer> scorer = Scorer::Load(file);
    EXPECT_TRUE(scorer.ok()) << scorer.error().message();
    return std::move(scorer).value();
  }

  static std::unique_ptr<Model> MustMake(const v1::Plugin& plugin, const ModelContext& context) {
    return MakeModel(BuiltinModels(), plugin, context).value();
  }
  static std::vector<float> Parameters(const Model& model) {
    Rng rng({.seed = 1, .purpose = "parameters"});
    return model.InitialParameters(rng);
  }
  static std::vector<float> Floats(const at::Tensor& tensor) {
    const at::Tensor flat = tensor.contiguous();
    return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
  }

  /// A small network on the inputs that Table() becomes, exported and loaded.
  struct TableScorer {
    std::shared_ptr<const Dataset> table;
    std::int64_t inputs;
    std::unique_ptr<Model> model;
    std::vector<float> parameters;
    Scorer scorer;
  };
  TableScorer LoadTable(const Calibration& calibration, const std::string& description) {
    const auto table = Table();
    const std::int64_t inputs = table->example_shape().front();
    v1::MlpSettings settings;
    settings.add_hidden(5);
    auto model = MustMake(PluginOf("mlp", settings), {.input_shape = {inputs}, .outputs = 2});
    std::vector<float> parameters = Parameters(*model);
    const v1::Dictionary dictionary = Hearts();
    Scorer scorer = MustLoad({.model = *model,
                              .tensors = model->tensors(),
                              .values = parameters,
                              .example_shape = {inputs},
                              .dictionary = dictionary,
                              .encodings = table->encodings(),
                              .calibration = calibration,
                              .labels = {"no", "yes"},
                              .description = description});
    return {table, inputs, std::move(model), std::move(parameters), std::move(scorer)};
  }

  const TemporaryFolder folder_;
};

TEST_F(ScorerTest, RawRowsGiveWhatTheEncodedTableGives) {
  auto [table, inputs, model, parameters, scorer] =
      LoadTable({.temperature = 2, .intercepts = {0.25, -0.5}}, "{}");
  const std::vector<float> rows = {201.7F, 1, 51, kNone, kNone, 37.25F, 333.3F, 0, 62};
  const std::vector<float> scored = scorer.Score(rows, 3).value();
  std::vector<float> encoded(static_cast<std::size_t>(3 * inputs));
  for (std::size_t row = 0; row < 3; ++row) {
    table->Read(row, std::span(encoded).subspan(row * static_cast<std::size_t>(inputs),
                                                static_cast<std::size_t>(inputs)));
  }
  const at::Tensor flat = at::tensor(at::ArrayRef<float>(parameters.data(), parameters.size()));
  const at::Tensor outputs =
      model->Forward(SplitParameters(*model, flat),
                     {.inputs = at::tensor(at::ArrayRef<float>(encoded)).view({3, inputs})});
  const at::Tensor expected = at::softmax(outputs / 2 + at::tensor({0.25F, -0.5F}), 1);
  EXPECT_EQ(scored, Floats(expected)) << "bit for bit";
  EXPECT_EQ(scorer.labels(), (std::vector<std::string>{"no", "yes"}));
  EXPECT_EQ(scorer.description(), "{}");
}

TEST_F(ScorerTest, WhatIsOutOfRangeOrUnknownCountsAsMissing) {
  Scorer scorer = LoadTable({}, "").scorer;
  const auto score = [&](std::vector<float> row) { return scorer.Score(row, 1).value(); };
  EXPECT_EQ(score({kNone, kNone, 40}), score({701, 2, 40}));
  EXPECT_EQ(score({kNone, kNone, 40}), score({49, 0.5F, 40}));
  EXPECT_NE(score({kNone, 1, 40}), score({kNone, 0, 40}));
  EXPECT_TRUE(std::isnan(score({200, 1, kNone})[0])) << "age drops rows";
}

TEST_F(ScorerTest, ImagesAndTheirStatisticsComeAlong) {
  v1::Conv4Settings settings;
  settings.set_filters(8);
  settings.set_normalization("averaged");
  const auto model =
      MustMake(PluginOf("conv4", settings), {.input_shape = {1, 28, 28}, .outputs = 3});
  std::vector<float> values = Parameters(*model);
  const std::size_t learned = values.size();
  std::vector<float> statistics = InitialStatistics(*model);
  for (float& value : statistics) value += 0.25F;
  values.insert(values.end(), statistics.begin(), statistics.end());
  std::vector<TensorSpec> tensors(model->tensors().begin(), model->tensors().end());
  tensors.insert(tensors.end(), model->statistics().begin(), model->statistics().end());
  const v1::Dictionary none;
  Scorer scorer = MustLoad({.model = *model,
                            .tensors = tensors,
                            .values = values,
                            .example_shape = {1, 28, 28},
                            .dictionary = none,
                            .labels = {"0", "1", "2"}});
  const at::Tensor images = at::linspace(0, 1, 5 * 28 * 28).view({5, 1, 28, 28});
  const at::Tensor flat = at::tensor(at::ArrayRef<float>(values));
  const auto given = SplitStatistics(*model, flat.slice(0, static_cast<std::int64_t>(learned)));
  const at::Tensor expected = at::softmax(
      model->Forward(SplitParameters(*model, flat.slice(0, 0, static_cast<std::int64_t>(learned))),
                     {.inputs = images, .statistics = given}),
      1);
  EXPECT_EQ(scorer.Score(Floats(images), 5).value(), Floats(expected));
}

TEST_F(ScorerTest, AFileThatIsNoneIsRefused) {
  EXPECT_FALSE(Scorer::Load(folder_.path() / "none.pt").ok());
  ASSERT_TRUE(WriteFileAtomically(folder_.path() / "text.pt", std::string_view("text")).ok());
  EXPECT_FALSE(Scorer::Load(folder_.path() / "text.pt").ok());
}

}  // namespace
}  // namespace fedmeta
