#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "fedmeta/cli/commands.h"
#include "fedmeta/coordinator/audit_verifier.h"
#include "fedmeta/core/file.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

struct AuditArguments {
  std::string path, trust;
  bool json = false;
};

/// Of a run folder, a store ("sqlite:PATH" or PATH) or the file itself.
std::filesystem::path AuditFileOf(std::string path) {
  constexpr std::string_view kSqlite = "sqlite:";
  if (path.starts_with(kSqlite)) path.erase(0, kSqlite.size());
  if (std::filesystem::is_directory(path)) return std::filesystem::path(path) / "audit.jsonl";
  const std::filesystem::path beside = path + ".audit.jsonl";
  return std::filesystem::exists(beside) ? beside : std::filesystem::path(path);
}

void PrintJson(const AuditFindings& findings) {
  const nlohmann::json object = {
      {"chain", findings.chain},
      {"entries", findings.entries},
      {"commits", findings.commits},
      {"restores", findings.restores},
      {"openings", findings.openings},
      {"charges", findings.charges},
      {"epsilon", findings.epsilon},
      {"told", findings.told},
      {"recovered", findings.recovered},
      {"turned_away", findings.turned_away},
      {"end_unseen_by", findings.end_unseen_by},
      {"updates", findings.visible},
      {"signatures_checked", findings.signatures_checked},
      {"signed_to", findings.signed_to},
      {"countersigned", findings.countersigned},
      {"bad", findings.bad ? nlohmann::json(*findings.bad) : nlohmann::json(nullptr)}};
  std::printf("%s\n", object.dump().c_str());
}

void PrintOpenings(const AuditFindings& findings) {
  if (findings.openings > 0) {
    std::printf(
        "recorded    %s openings of secure sums; every round counts members of sums that "
        "were opened\n",
        FormatCount(findings.openings).c_str());
  }
  if (findings.charges > 0) {
    std::printf("recorded    %s releases charged before they came out, epsilon %s in the end\n",
                FormatCount(findings.charges).c_str(), FormatNumber(findings.epsilon).c_str());
  }
  if (findings.told > 0) {
    std::printf("recorded    %s further releases that sites were charged for before a restore\n",
                FormatCount(findings.told).c_str());
  }
  if (findings.recovered > 0) {
    std::printf("recorded    %s entries were written later, from the store\n",
                FormatCount(findings.recovered).c_str());
  }
  if (findings.turned_away > 0) {
    std::printf("recorded    %s that were turned away at the door\n",
                FormatCount(findings.turned_away).c_str());
  }
  if (!findings.checks_openings) {
    std::printf(
        "not proven  that rounds were opened and charged: the program was too old to say\n");
  }
  if (!findings.end_unseen_by.empty()) {
    std::printf("not proven  that %s saw the end: it is not countersigned by them\n",
                Join(findings.end_unseen_by, ", ").c_str());
  }
}

void PrintText(const AuditFindings& findings) {
  const auto count = [](std::uint64_t value) { return FormatCount(value); };
  std::printf("chain %s\n", findings.chain.c_str());
  std::printf(
      "proven      entries 1 to %s follow from one another; %s committed rounds, %s "
      "restores from a backup\n",
      count(findings.entries).c_str(), count(findings.commits).c_str(),
      count(findings.restores).c_str());
  if (!findings.visible.empty())
    std::printf("recorded    at the coordinator: %s\n", findings.visible.c_str());
  PrintOpenings(findings);
  if (findings.signatures_checked) {
    std::printf("proven      the coordinator signed all up to entry %s\n",
                count(findings.signed_to).c_str());
    for (const auto& [client, index] : findings.countersigned)
      std::printf("proven      %s countersigned all up to entry %s\n", client.c_str(),
                  count(index).c_str());
    if (findings.countersigned.empty())
      std::printf("not proven  that any site has seen this record: none has countersigned it\n");
  } else {
    std::printf("not proven  who signed it: name the authority with --trust\n");
  }
  std::printf(
      "not proven  that nothing was cut off at the end, or never written: compare with what "
      "the sites remember\n");
}

int Verify(const AuditArguments& arguments) {
  std::optional<std::string> trust;
  if (!arguments.trust.empty()) {
    Result<std::string> pem = ReadFile(arguments.trust);
    if (!pem.ok()) return ReportError(pem.error().WithContext("--trust"), arguments.json);
    trust = *std::move(pem);
  }
  const Result<AuditFindings> findings = VerifyAudit(AuditFileOf(arguments.path), trust);
  if (!findings.ok()) return ReportError(findings.error(), arguments.json);
  arguments.json ? PrintJson(*findings) : PrintText(*findings);
  if (!findings->bad) return 0;
  return ReportError(Error(ErrorCode::kDataLoss, "audit: " + *findings->bad));
}

}  // namespace

Command AuditCommand() {
  return {.name = "audit",
          .description = "A coordinator's record of what it did.",
          .example = "fedmeta audit verify runs/heart --trust federation-ca.pem",
          .setup = [](CLI::App& app) -> std::function<int()> {
            app.require_subcommand(1);
            CLI::App* verify = app.add_subcommand(
                "verify", "Says what the record proves and what not; names the first bad entry.");
            const auto arguments = std::make_shared<AuditArguments>();
            verify
                ->add_option("RUN_OR_STORE", arguments->path,
                             "A run folder, a coordinator's store, or the record itself")
                ->required();
            verify->add_option("--trust", arguments->trust,
                               "The federation's authority, PEM: then signatures are checked");
            verify->add_flag("--json", arguments->json, "As one JSON object");
            return [arguments] { return Verify(*arguments); };
          }};
}

}  // namespace fedmeta
