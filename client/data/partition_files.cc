#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "fedmeta/client/data/idx_file.h"
#include "fedmeta/client/data/partition.h"
#include "fedmeta/core/file.h"
#include "fedmeta/v1/data.pb.h"

namespace fedmeta {
namespace {

namespace fs = std::filesystem;

// A double-quoted YAML scalar.
std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  return quoted + "\"";
}

std::string_view RoleName(v1::Role role) {
  if (role == v1::ROLE_HOLDOUT) return "holdout";
  return role == v1::ROLE_VALIDATION ? "validation" : "train";
}

std::string ClientYaml(const std::string& data_name, bool normalize, const std::string& client,
                       v1::Role role, const std::string& coordinator_address, bool robust) {
  const std::string identity = "../pki/" + client + "/" + client;
  std::string text;
  text += "# " + client + ". Paths are relative to this file; identities: fedmeta pki.\n";
  text += "coordinator: {address: " + Quoted(coordinator_address) + "}\n";
  text += "identity:\n";
  text += "  certificate: " + Quoted(identity + ".pem") + "\n";
  text += "  key: " + Quoted(identity + ".key") + "\n";
  text += "  trust: \"../pki/authority/authority.pem\"\n";
  text += "  revocation_list: \"../pki/authority/denylist.pem\"\n";
  text += "state_dir: \"state\"\n";
  text += "policy: {approve: any, minimum_cohort: 1";
  if (robust) text += ", allow: {individual_updates: true}";
  text += "}   # a demonstration: a real site approves\n";
  text += "data:\n";
  text += "  " + Quoted(data_name) + ":\n";
  text += "    source: {name: idx, path: \".\", part: site, normalize: ";
  text += normalize ? "true}\n" : "false}\n";
  text += "    role: " + std::string(RoleName(role)) + "\n";
  return text;
}

Result<IdxFile> Images(const DatasetView& view, bool normalize) {
  const std::vector<std::int64_t>& shape = view.dataset->example_shape();
  IdxFile images;
  images.extents = {static_cast<std::uint32_t>(view.size()), static_cast<std::uint32_t>(shape[1]),
                    static_cast<std::uint32_t>(shape[2])};
  std::vector<float> example(static_cast<std::size_t>(shape[1] * shape[2]));
  images.bytes.reserve(view.size() * example.size());
  for (const std::uint32_t row : *view.rows) {
    view.dataset->Read(row, example);
    for (const float value : example) {
      const long pixel = std::lround(value * (normalize ? 255.0F : 1.0F));
      if (pixel < 0 || pixel > 255) {
        return Error(ErrorCode::kInternal, "an example holds a value that is no byte");
      }
      images.bytes.push_back(static_cast<std::uint8_t>(pixel));
    }
  }
  return images;
}

// Bytes where the codes fit, as most readers of the format expect.
IdxFile Labels(const DatasetView& view) {
  std::int64_t largest = 0;
  for (std::size_t i = 0; i < view.size(); ++i) largest = std::max(largest, view.code(i));
  IdxFile labels;
  labels.type = largest <= std::numeric_limits<std::uint8_t>::max() ? IdxType::kUnsignedByte
                                                                    : IdxType::kInt16;
  labels.extents = {static_cast<std::uint32_t>(view.size())};
  for (std::size_t i = 0; i < view.size(); ++i) {
    const auto code = static_cast<std::uint16_t>(view.code(i));
    if (labels.type == IdxType::kInt16) {
      labels.bytes.push_back(static_cast<std::uint8_t>(code >> 8));
    }
    labels.bytes.push_back(static_cast<std::uint8_t>(code & 0xffU));
  }
  return labels;
}

Status WriteClient(const fs::path& folder, const DatasetView& view, bool normalize,
                   const std::string& yaml) {
  if (view.size() == 0) {
    return Error(ErrorCode::kInvalidArgument,
                 folder.filename().string() + " would have no examples");
  }
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(folder));
  FEDMETA_ASSIGN_OR_RETURN(const IdxFile images, Images(view, normalize));
  const IdxFile labels = Labels(view);
  const std::string label_name =
      labels.type == IdxType::kInt16 ? "site-labels-idx1-int16" : "site-labels-idx1-ubyte";
  FEDMETA_RETURN_IF_ERROR(
      WriteFileAtomically(folder / "site-images-idx3-ubyte", EncodeIdx(images)));
  FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(folder / label_name, EncodeIdx(labels)));
  return WriteFileAtomically(folder / "client.yaml", yaml);
}

}  // namespace

Status WritePartition(const v1::Experiment& experiment, const OpenedSource& source,
                      const Partition& partition, const std::string& coordinator_address,
                      const std::string& dir) {
  const v1::Plugin& choice = experiment.data().source();
  v1::IdxSettings settings;
  if (!source.dataset || choice.name() != "idx" || !choice.settings().UnpackTo(&settings)) {
    return Error(
        ErrorCode::kInvalidArgument,
        "data.source.name '" + choice.name() + "' cannot be written as files; only source idx can");
  }
  const bool robust = experiment.privacy().secure_aggregation().mode() == "plain_robust";
  for (std::size_t client = 0; client < partition.clients(); ++client) {
    const std::string name = partition.name(client);
    FEDMETA_ASSIGN_OR_RETURN(const DatasetView view, partition.view(client));
    FEDMETA_RETURN_IF_ERROR(
        WriteClient(fs::path(dir) / name, view, settings.normalize(),
                    ClientYaml(experiment.data().name(), settings.normalize(), name,
                               partition.role(client), coordinator_address, robust)));
  }
  return {};
}

}  // namespace fedmeta
