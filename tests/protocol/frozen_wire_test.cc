#include <array>
#include <filesystem>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include "fedmeta/protocol/version.h"

namespace fedmeta {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptorSet;
using google::protobuf::MethodDescriptor;

// Messages, and the settings that travel in them as google.protobuf.Any.
constexpr std::array kWire = {"fedmeta/v1/service.proto", "fedmeta/v1/round.proto",
                              "fedmeta/v1/plugin.proto",  "fedmeta/v1/algorithms.proto",
                              "fedmeta/v1/models.proto",  "fedmeta/v1/data.proto"};

/// Everything that a peer of another version relies on, one line each: "field 3 bytes sha256 ...".
using Facts = std::set<std::string>;

void Collect(const EnumDescriptor& type, Facts& facts) {
  for (int i = 0; i < type.value_count(); ++i) {
    facts.insert("value " + type.value(i)->full_name() + " = " +
                 std::to_string(type.value(i)->number()));
  }
}

void Collect(const Descriptor& type, Facts& facts) {
  facts.insert("message " + type.full_name());
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    std::string line = "field " + field.full_name() + " = " + std::to_string(field.number()) + " ";
    if (field.is_repeated()) line += "repeated ";
    line += field.type_name();
    if (field.message_type() != nullptr) line += " " + field.message_type()->full_name();
    if (field.enum_type() != nullptr) line += " " + field.enum_type()->full_name();
    if (field.containing_oneof() != nullptr) line += " in " + field.containing_oneof()->name();
    facts.insert(line);
  }
  for (int i = 0; i < type.nested_type_count(); ++i) Collect(*type.nested_type(i), facts);
  for (int i = 0; i < type.enum_type_count(); ++i) Collect(*type.enum_type(i), facts);
}

void Collect(const MethodDescriptor& method, Facts& facts) {
  facts.insert("method " + method.full_name() + (method.client_streaming() ? " stream " : " ") +
               method.input_type()->full_name() + " -> " +
               (method.server_streaming() ? "stream " : "") + method.output_type()->full_name());
}

void Collect(const google::protobuf::FileDescriptor& file, Facts& facts) {
  for (int i = 0; i < file.message_type_count(); ++i) Collect(*file.message_type(i), facts);
  for (int i = 0; i < file.enum_type_count(); ++i) Collect(*file.enum_type(i), facts);
  for (int i = 0; i < file.service_count(); ++i) {
    for (int m = 0; m < file.service(i)->method_count(); ++m)
      Collect(*file.service(i)->method(m), facts);
  }
}

/// Of a set of descriptors that protoc wrote; empty if there is none.
Facts FactsOf(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  FileDescriptorSet set;
  Facts facts;
  if (!set.ParseFromIstream(&in)) return facts;
  DescriptorPool pool;
  for (const auto& file : set.file()) pool.BuildFile(file);
  for (const char* name : kWire) {
    if (const auto* file = pool.FindFileByName(name)) Collect(*file, facts);
  }
  return facts;
}

Facts FactsOfTheTree() { return FactsOf(FEDMETA_WIRE); }

std::filesystem::path Frozen(std::uint32_t minor) {
  return std::filesystem::path(FEDMETA_SOURCE_DIR "/tests/protocol/frozen") /
         ("v" + std::to_string(kProtocolMajor) + "." + std::to_string(minor) + ".binpb");
}

TEST(FrozenWireTest, NothingThatAnEarlierVersionSaysHasChanged) {
  const Facts now = FactsOfTheTree();
  ASSERT_THAT(now, ::testing::Contains("field fedmeta.v1.RoundKey.round = 3 uint64"));
  for (std::uint32_t minor = 0; minor < kProtocolMinor; ++minor) {
    const Facts then = FactsOf(Frozen(minor));
    EXPECT_FALSE(then.empty()) << Frozen(minor) << " is missing: see docs/contributors.md";
    for (const std::string& fact : then)
      EXPECT_TRUE(now.contains(fact)) << "of " << Frozen(minor).filename() << ": " << fact;
  }
}

TEST(FrozenWireTest, WhatIsNewHasANewVersion) {
  // Once this version is frozen, the tree says nothing beyond it.
  if (!std::filesystem::exists(Frozen(kProtocolMinor))) return;
  EXPECT_EQ(FactsOfTheTree(), FactsOf(Frozen(kProtocolMinor)))
      << "raise kProtocolMinor in protocol/version.h";
}

}  // namespace
}  // namespace fedmeta
