#include "fedmeta/coordinator/leg.h"

#include <nlohmann/json.hpp>

#include "fedmeta/coordinator/experiment_engine.h"
#include "fedmeta/core/bytes.h"
#include "fedmeta/core/hex.h"
#include "fedmeta/privacy/secure_terms.h"
#include "fedmeta/privacy/update_compression.h"
#include "fedmeta/protocol/state_form.h"
#include "fedmeta/records/safetensors.h"
#include "fedmeta/v1/round.pb.h"

namespace fedmeta {
namespace {

constexpr char kFormat[] = "fedmeta initial state 1";

Error Refused(const std::filesystem::path& path, const std::string& what) {
  return {ErrorCode::kInvalidArgument,
          path.string() + ": " + what + ": run `fedmeta init` again for this experiment"};
}

std::string TensorName(const Leg& leg, const Segment& segment, const TensorSpec& tensor) {
  return leg.name + "/" + segment.name + "/" + tensor.name;
}

nlohmann::json Describe(const Leg& leg) {
  return {{"name", leg.name},
          {"method", leg.method},
          {"main", leg.main},
          {"trains", leg.trains},
          {"assignment", ToHex(leg.assignment)},
          {"layout", leg.layout.text()},
          {"maximum_weight", leg.maximum_weight},
          {"adaptation_rate", leg.adaptation_rate},
          {"aggregation", ToHex(leg.aggregation.SerializeAsString())},
          {"optimizer", ToHex(leg.optimizer.SerializeAsString())}};
}

/// The bytes of a hexadecimal field; throws as nlohmann does, so that one handler answers both.
std::string HexField(const nlohmann::json& json, const char* name) {
  std::optional<std::string> bytes = FromHex(json.at(name).get<std::string>());
  if (!bytes) throw std::invalid_argument(std::string(name) + " is not hexadecimal");
  return *std::move(bytes);
}

Result<Leg> Restore(const nlohmann::json& json) {
  Leg leg;
  try {
    leg.name = json.at("name").get<std::string>();
    leg.method = json.at("method").get<std::string>();
    leg.main = json.at("main").get<bool>();
    leg.trains = json.at("trains").get<bool>();
    leg.assignment = HexField(json, "assignment");
    leg.maximum_weight = json.at("maximum_weight").get<double>();
    leg.adaptation_rate = json.at("adaptation_rate").get<double>();
    FEDMETA_ASSIGN_OR_RETURN(leg.layout, StateLayout::Parse(json.at("layout").get<std::string>()));
    if (!leg.aggregation.ParseFromString(HexField(json, "aggregation")) ||
        !leg.optimizer.ParseFromString(HexField(json, "optimizer"))) {
      return Error(ErrorCode::kInvalidArgument, "aggregation or optimizer does not parse");
    }
  } catch (const std::exception& exception) {
    return Error(ErrorCode::kInvalidArgument, exception.what());
  }
  v1::Assignment assignment;
  if (!assignment.ParseFromString(leg.assignment)) {
    return Error(ErrorCode::kInvalidArgument, "the assignment does not parse");
  }
  if (assignment.layout_fingerprint() != leg.layout.fingerprint().bytes()) {
    return Error(ErrorCode::kInvalidArgument, "the layout is not the one its assignment names");
  }
  return leg;
}

Status FillState(const SafeTensors& content, Leg& leg) {
  leg.initial_state.reserve(leg.layout.size());
  for (const Segment& segment : leg.layout.segments()) {
    for (const TensorSpec& spec : segment.tensors) {
      const std::string name = TensorName(leg, segment, spec);
      const NamedTensor* tensor = content.Find(name);
      if (tensor == nullptr) {
        return Error(ErrorCode::kInvalidArgument, "tensor " + name + " is missing");
      }
      if (tensor->shape != spec.shape) {
        return Error(ErrorCode::kInvalidArgument,
                     "tensor " + name + " has another shape than its layout");
      }
      leg.initial_state.insert(leg.initial_state.end(), tensor->values.begin(),
                               tensor->values.end());
    }
  }
  if (leg.initial_state.size() != leg.layout.size()) {
    return Error(ErrorCode::kInvalidArgument,
                 leg.name + " has " + std::to_string(leg.initial_state.size()) +
                     " values, its layout " + std::to_string(leg.layout.size()));
  }
  return {};
}

}  // namespace

Status WriteLegs(const std::filesystem::path& path, std::span<const Leg> legs,
                 const Digest& experiment) {
  SafeTensors content;
  nlohmann::json described = nlohmann::json::array();
  for (const Leg& leg : legs) {
    described.push_back(Describe(leg));
    for (std::size_t s = 0; s < leg.layout.segments().size(); ++s) {
      const Segment& segment = leg.layout.segments()[s];
      for (std::size_t t = 0; t < segment.tensors.size(); ++t) {
        const TensorSpec& spec = segment.tensors[t];
        FEDMETA_ASSIGN_OR_RETURN(const std::size_t count, ElementCount(spec.shape));
        const auto first =
            leg.initial_state.begin() + static_cast<std::ptrdiff_t>(leg.layout.offset(s, t));
        content.tensors.push_back({.name = TensorName(leg, segment, spec),
                                   .shape = spec.shape,
                                   .values = {first, first + static_cast<std::ptrdiff_t>(count)}});
      }
    }
  }
  content.metadata = {
      {"format", kFormat}, {"experiment", experiment.hex()}, {"legs", described.dump()}};
  return WriteSafeTensors(path, content);
}

Result<std::vector<Leg>> ReadLegs(const std::filesystem::path& path, const Digest& experiment) {
  FEDMETA_ASSIGN_OR_RETURN(const SafeTensors content, ReadSafeTensors(path));
  const auto field = [&](const char* name) {
    const auto found = content.metadata.find(name);
    return found == content.metadata.end() ? std::string() : found->second;
  };
  if (field("format") != kFormat) return Refused(path, "not an initial state of this version");
  if (field("experiment") != experiment.hex()) {
    return Refused(path, "made from another experiment file (digest " +
                             field("experiment").substr(0, 12) + ", this one is " +
                             experiment.hex().substr(0, 12) + ")");
  }
  const nlohmann::json described =
      nlohmann::json::parse(field("legs"), nullptr, /*allow_exceptions=*/false);
  if (!described.is_array() || described.empty()) return Refused(path, "it names no legs");
  std::vector<Leg> legs;
  for (const nlohmann::json& json : described) {
    Result<Leg> leg = Restore(json);
    if (!leg.ok()) return Refused(path, leg.error().message());
    if (const Status filled = FillState(content, *leg); !filled.ok()) {
      return Refused(path, filled.error().message());
    }
    legs.push_back(std::move(leg).value());
  }
  return legs;
}

ExperimentId LegId(const v1::Experiment& experiment, std::string_view leg) {
  return ExperimentId(experiment.name() + "/" + std::string(leg));
}

std::vector<LegFacts> FactsOf(std::span<const Leg> legs) {
  std::vector<LegFacts> facts;
  for (const Leg& leg : legs) facts.push_back(FactsOf(leg));
  return facts;
}

std::optional<LegFacts::Secure> SecureFactsOf(const Leg& leg) {
  v1::Assignment assignment;
  if (!assignment.ParseFromString(leg.assignment) || !assignment.has_secure()) return std::nullopt;
  return LegFacts::Secure{.terms = assignment.secure(), .question = QuestionHash(assignment)};
}

std::optional<v1::CompressionTerms> CompressionOf(const Leg& leg) {
  v1::Assignment assignment;
  if (!assignment.ParseFromString(leg.assignment) || !assignment.has_compression())
    return std::nullopt;
  return assignment.compression();
}

LegFacts FactsOf(const Leg& leg) {
  LegFacts facts{.name = leg.name,
                 .method = leg.method,
                 .main = leg.main,
                 .trains = leg.trains,
                 .assignment_hash = Digest::Of(leg.assignment),
                 .assignment_size = leg.assignment.size(),
                 .coordinates = leg.layout.size(),
                 .maximum_weight = leg.maximum_weight,
                 .adaptation_rate = leg.adaptation_rate,
                 .state_hash = Digest::Of(AsBytes(std::span<const float>(leg.initial_state))),
                 .secure = SecureFactsOf(leg)};
  if (const std::optional<v1::CompressionTerms> terms = CompressionOf(leg)) {
    facts.update_coordinates = ExchangedCoordinates(*terms, leg.layout);
    if (terms->bits() < 32) facts.update_bits = terms->bits();
    if (terms->half_download()) {
      const Bytes sent = WriteState(leg.layout, true, leg.initial_state);
      facts.sent_hash = Digest::Of(sent);
      facts.state_bytes = sent.size();
    }
  }
  return facts;
}

}  // namespace fedmeta
