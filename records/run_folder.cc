#include "fedmeta/records/run_folder.h"

#include <fstream>
#include <sys/utsname.h>
#include <thread>

#include <nlohmann/json.hpp>

#include "fedmeta/core/check.h"
#include "fedmeta/core/digest.h"
#include "fedmeta/core/file.h"
#include "fedmeta/records/load_script.h"
#include "fedmeta/records/record_text.h"
#include "fedmeta/records/report.h"
#include "fedmeta/records/safetensors.h"

namespace fedmeta {
namespace {

using nlohmann::ordered_json;

/// Whichever of these is there, a run was here.
/// Told by the history, so written anew by a run that goes on.
constexpr const char* kRecords[] = {"rounds.jsonl", "evaluation.jsonl", "metrics.csv"};
constexpr char kUnfinishedSummary[] = "summary.json.unfinished";

constexpr const char* kTraces[] = {"experiment.yaml", "manifest.json", "rounds.jsonl",
                                   "summary.json", "checkpoints"};

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

std::string KernelVersion() {
  utsname names{};
  if (::uname(&names) != 0) return {};
  return std::string(names.sysname) + " " + names.release;  // the host's name stays here
}

ordered_json ManifestObject(const ManifestFacts& facts, WallTime started) {
  ordered_json object;
  object["program"] = "fedmeta " FEDMETA_VERSION;
  if (!facts.protocol.empty()) object["protocol"] = facts.protocol;
  object["mode"] = facts.mode;
  object["started"] = FormatUtc(started);
  object["seed"] = facts.seed;
  object["threads"] = facts.threads;
  object["cpu"] = CpuModel();
  object["cores"] = std::thread::hardware_concurrency();
  object["kernel"] = KernelVersion();
  if (!facts.blas.empty()) object["blas"] = facts.blas;
  if (!facts.libtorch.empty()) object["libtorch"] = facts.libtorch;
  object["data_fingerprints"] = facts.data_fingerprints;
  return object;
}

/// The tensors of the first segment and buffers keep their `state_dict` names; others of further
/// segments, which may repeat them, are prefixed.
SafeTensors ToSafeTensors(const StateLayout& layout, std::span<const float> state,
                          const std::map<std::string, std::string>& metadata) {
  SafeTensors content{metadata, {}};
  for (std::size_t s = 0; s < layout.segments().size(); ++s) {
    const Segment& segment = layout.segments()[s];
    for (std::size_t t = 0; t < segment.tensors.size(); ++t) {
      const TensorSpec& tensor = segment.tensors[t];
      const std::size_t begin = layout.offset(s, t), end = layout.offset(s, t + 1);
      const bool of_model = s == 0 || tensor.kind == TensorKind::kBuffer;
      content.tensors.push_back({of_model ? tensor.name : segment.name + "/" + tensor.name,
                                 tensor.shape,
                                 {state.begin() + static_cast<std::ptrdiff_t>(begin),
                                  state.begin() + static_cast<std::ptrdiff_t>(end)}});
    }
  }
  return content;
}

class RunFolderOnDisk final : public RunFolder {
 public:
  RunFolderOnDisk(std::filesystem::path dir, ordered_json manifest, const Clock& clock)
      : dir_(std::move(dir)), manifest_(std::move(manifest)), clock_(clock) {}

  /// What the run wrote before it ended: the records are collected until they can be replaced.
  Status Resume() {
    collected_.emplace();
    collected_->insert({"metrics.csv", MetricsHeader()});
    const Result<std::string> text = ReadFile(dir_ / "manifest.json");
    if (text.ok()) {
      earlier_ = ordered_json::parse(*text, nullptr, /*allow_exceptions=*/false);
      if (earlier_.is_object() && earlier_.contains("started")) {
        manifest_["resumed"] = manifest_["started"];
        manifest_["started"] = earlier_["started"];
      }
    }
    return {};
  }

  const std::filesystem::path& dir() const override { return dir_; }

  Status WriteFirstFiles(const std::string& experiment_yaml) {
    FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(dir_ / "experiment.yaml", experiment_yaml));
    FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(dir_ / "load.py", LoadScript()));
    if (!collected_) {
      FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(dir_ / "metrics.csv", MetricsHeader()));
    }
    return WriteManifest();
  }

  Status Started(const RunHeading& heading) override {
    heading_ = heading;
    manifest_["experiment"] = heading.experiment;
    manifest_["model"] = heading.model;
    manifest_["algorithm"] = heading.algorithm;
    manifest_["objective"] = heading.classification ? "classification" : "regression";
    manifest_["shots_of"] = heading.shots_of;
    manifest_["parameters"] = heading.parameters;
    manifest_["clients"] = heading.clients;
    manifest_["holdout_clients"] = heading.holdout_clients;
    manifest_["cohort"] = heading.cohort;
    manifest_["rounds"] = heading.rounds;
    if (!heading.compression.empty()) manifest_["compression"] = heading.compression;
    manifest_["robust_aggregation"] = heading.robust_aggregation;
    return WriteManifest();
  }

  Status LegStarted(const std::string& leg, const std::string& method, std::uint64_t) override {
    methods_[leg] = method;
    manifest_["legs"].push_back({{"leg", leg}, {"method", method}});
    return WriteManifest();
  }

  Status RoundDone(const RoundRecord& record) override {
    FEDMETA_RETURN_IF_ERROR(Append("rounds.jsonl", RoundLine(record, heading_.classification)));
    return Append("metrics.csv", RoundRows(record, methods_[record.leg], heading_.classification));
  }

  Status Evaluated(std::span<const EvaluationRecord> records) override {
    std::string lines, rows;
    for (const EvaluationRecord& record : records) {
      lines += EvaluationLines(record, heading_.classification);
      rows += EvaluationRows(record, heading_.classification);
    }
    FEDMETA_RETURN_IF_ERROR(Append("evaluation.jsonl", lines));
    return Append("metrics.csv", rows);
  }

  Status HistoryBegins() override {
    telling_history_ = true;
    return {};
  }

  Status HistoryEnds(const std::string&, std::uint64_t) override {
    telling_history_ = false;
    return ReplaceRecords();
  }

  Status Checkpoint(const std::string& name, const StateLayout& layout,
                    std::span<const float> state,
                    const std::map<std::string, std::string>& metadata) override {
    FEDMETA_CHECK(state.size() == layout.size());
    FEDMETA_CHECK(name.find('/') == std::string::npos);
    const std::string file = name + ".safetensors";
    const std::filesystem::path path = dir_ / "checkpoints" / file;
    const std::string state_hash = Digest::Of(AsBytes(state)).hex();
    const ordered_json::json_pointer entry = ordered_json::json_pointer("/checkpoints") / file;
    if (collected_ && std::filesystem::exists(path) && earlier_.contains(entry) &&
        earlier_[entry].value("state_sha256", "") == state_hash) {
      manifest_[entry] = earlier_[entry];  // the very file
      return {};
    }
    FEDMETA_RETURN_IF_ERROR(WriteSafeTensors(path, ToSafeTensors(layout, state, metadata)));
    FEDMETA_ASSIGN_OR_RETURN(const std::string content, ReadFile(path));
    manifest_[entry] = {{"sha256", Digest::Of(content).hex()}, {"state_sha256", state_hash}};
    return {};
  }

  Status Note(const std::string& text) override {
    if (telling_history_) return {};  // noted when it happened
    return AppendFile(dir_ / "notes.txt", FormatUtc(clock_.Wall()) + " " + text + "\n");
  }

  Status Paused(const RunSummary& summary) override {
    return WriteFileAtomically(dir_ / "summary.json", SummaryText(heading_, summary));
  }

  Status Finished(const RunSummary& summary) override {
    FEDMETA_RETURN_IF_ERROR(ReplaceRecords());
    manifest_["finished"] = FormatUtc(clock_.Wall());
    for (const char* file : {"best.safetensors", "final.safetensors"}) {
      if (!manifest_.contains("checkpoints") || !manifest_["checkpoints"].contains(file)) continue;
      manifest_["model_sha256"] = manifest_["checkpoints"][file]["sha256"];
      break;
    }
    FEDMETA_RETURN_IF_ERROR(WriteManifest());
    const std::string text = SummaryText(heading_, summary);
    FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(dir_ / kUnfinishedSummary, text));
    FEDMETA_ASSIGN_OR_RETURN(const std::string report, MakeReport(dir_, kUnfinishedSummary));
    FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(dir_ / "report.html", report));
    FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(dir_ / "summary.json", text));
    std::error_code ignored;  // a leftover says nothing wrong
    std::filesystem::remove(dir_ / kUnfinishedSummary, ignored);
    return {};
  }

 private:
  Status Append(const std::string& file, const std::string& text) {
    if (telling_history_ && collected_) {
      (*collected_)[file] += text;
      return {};
    }
    FEDMETA_RETURN_IF_ERROR(ReplaceRecords());
    return AppendFile(dir_ / file, text);
  }

  /// What the run has been is known whole: the records of before make way.
  Status ReplaceRecords() {
    if (!collected_) return {};
    std::error_code error;
    std::filesystem::remove(dir_ / "summary.json", error);  // it is running again
    for (const char* file : kRecords) {
      FEDMETA_RETURN_IF_ERROR(WriteFileAtomically(dir_ / file, (*collected_)[file]));
    }
    collected_.reset();
    return WriteManifest();
  }

  Status WriteManifest() {
    return WriteFileAtomically(
        dir_ / "manifest.json",
        manifest_.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  }

  const std::filesystem::path dir_;
  ordered_json manifest_;
  const Clock& clock_;
  RunHeading heading_;
  std::map<std::string, std::string> methods_;  // leg -> method
  // Of a run that goes on.
  ordered_json earlier_;  // its manifest
  bool telling_history_ = false;
  std::optional<std::map<std::string, std::string>> collected_;  // by file, until it is replaced
};

}  // namespace

Result<std::unique_ptr<RunFolder>> RunFolder::Create(const Options& options, const Clock& clock) {
  std::error_code error;
  for (const char* trace : kTraces) {
    if (!options.resume && std::filesystem::exists(options.dir / trace, error)) {
      return Error(ErrorCode::kInvalidArgument,
                   "output folder " + options.dir.string() + " already holds a run (" + trace +
                       "): go on with it by --resume, name another with --out, or remove it");
    }
  }
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(options.dir));
  FEDMETA_RETURN_IF_ERROR(MakeWritableFolder(options.dir / "checkpoints"));
  auto folder = std::make_unique<RunFolderOnDisk>(
      options.dir, ManifestObject(options.manifest, clock.Wall()), clock);
  if (options.resume) FEDMETA_RETURN_IF_ERROR(folder->Resume());
  FEDMETA_RETURN_IF_ERROR(folder->WriteFirstFiles(options.experiment_yaml));
  return std::unique_ptr<RunFolder>(std::move(folder));
}

std::filesystem::path DefaultRunFolder(const std::string& experiment, const Clock& clock) {
  return std::filesystem::path("runs") / (experiment + "-" + FormatUtcCompact(clock.Wall()));
}

}  // namespace fedmeta
