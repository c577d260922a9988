#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "data_testing.h"
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "fedmeta/client/data/csv_reader.h"
#include "fedmeta/client/data/table_builder.h"

namespace fedmeta {

template <typename Message>
Message FromText(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

/// Bytes that a test hands out in pieces of at most `piece`.
class TextStream final : public ByteStream {
 public:
  explicit TextStream(std::string text, std::size_t piece = 1 << 20)
      : text_(std::move(text)), piece_(piece) {}
  Result<std::size_t> Read(std::span<char> into) override {
    const std::size_t count = std::min({into.size(), piece_, text_.size() - at_});
    std::copy_n(text_.data() + at_, count, into.data());
    at_ += count;
    return count;
  }

 private:
  std::string text_;
  std::size_t piece_;
  std::size_t at_ = 0;
};

inline RawTable TableOf(const std::string& text, const std::string& site = "",
                        const CsvFormat& format = {}) {
  RawTable table;
  table.open = [text, format] { return MakeCsvReader(std::make_unique<TextStream>(text), format); };
  table.stamp = [] { return std::string(); };
  table.site = FromText<v1::SiteData>(site);
  return table;
}

inline BuiltTable MustBuild(const RawTable& table, const v1::Dictionary& dictionary) {
  auto built = BuildTable(table, dictionary);
  EXPECT_TRUE(built.ok()) << built.error().message();
  return built.ok() ? std::move(*built) : BuiltTable{};
}

inline std::vector<float> ReadRow(const Dataset& dataset, std::size_t row) {
  std::vector<float> example(static_cast<std::size_t>(dataset.example_shape()[0]));
  dataset.Read(row, example);
  return example;
}

/// A number "chol" and a label "ill", each with more text in it.
inline v1::Dictionary NumberAnd(const std::string& feature, const std::string& more = "") {
  return FromText<v1::Dictionary>("features { name: 'chol' kind: 'number' unknown: 'refuse' " +
                                  feature +
                                  "} label { name: 'ill' kind: 'category' levels: 'no' levels: "
                                  "'yes' } " +
                                  (more.empty() ? "standardize: 'none'" : more));
}

}  // namespace fedmeta
