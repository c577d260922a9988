#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>

#include <nlohmann/json.hpp>

#include "fedmeta/cli/commands.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/file.h"
#include "fedmeta/core/text.h"
#include "fedmeta/identity/authority.h"
#include "fedmeta/identity/renewal.h"
#include "fedmeta/identity/revocation.h"
#include "fedmeta/identity/signature.h"
#include "fedmeta/protocol/audit_chain.h"
#include "fedmeta/v1/audit.pb.h"

namespace fedmeta {
namespace {

using Run = std::function<int()>;

CLI::App* AddAction(CLI::App& app, const char* name, const char* description, const char* example) {
  CLI::App* action = app.add_subcommand(name, description);
  action->footer(std::string("Example:\n  ") + example);
  return action;
}

/// `--days N` and, for what is to last for less or for an exact time, `--valid 12h`.
class ValidityOption {
 public:
  ValidityOption(CLI::App& action, int days, const std::string& what) : days_(days) {
    CLI::Option* in_days =
        action.add_option("--days", days_, "How long " + what + " is valid")->capture_default_str();
    const std::map<std::string, std::int64_t> units = {
        {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86'400}};
    action.add_option("--valid", seconds_, "The same with a unit: 12h, 90d")
        ->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::UNIT_REQUIRED, "DURATION"))
        ->excludes(in_days);
  }
  std::chrono::seconds value() const {
    return seconds_ ? std::chrono::seconds(*seconds_) : std::chrono::days(days_);
  }

 private:
  int days_;
  std::optional<std::int64_t> seconds_;
};

Run SetUpInit(CLI::App& app) {
  CLI::App* action =
      AddAction(app, "init", "Makes a federation's certificate authority; keep its folder offline.",
                "fedmeta pki init --dir authority --federation heart");
  const auto options = std::make_shared<AuthorityOptions>();
  action->add_option("--dir", options->dir, "Folder of the authority, made if need be")->required();
  action->add_option("--federation", options->federation, "Name of the federation")->required();
  const auto validity = std::make_shared<ValidityOption>(*action, 3650, "the authority");
  return [options, validity] {
    options->validity = validity->value();
    const SystemClock clock;
    if (const Status status = InitAuthority(*options, clock); !status.ok())
      return ReportError(status.error());
    // Parties need a list from the first day on: one that is empty.
    const auto list = Revoke({.authority_dir = options->dir}, clock);
    if (!list.ok()) return ReportError(list.error());
    std::printf("authority of '%s' in %s\n", options->federation.c_str(), options->dir.c_str());
    std::printf("  authority.pem  give it to every party (identity.trust)\n");
    std::printf(
        "  denylist.pem   too (identity.revocation_list); valid until %s, then sign it "
        "anew: fedmeta pki revoke --refresh\n",
        FormatUtc(list.value().valid_until).c_str());
    std::printf("  authority.key  never leaves this folder\n");
    return 0;
  };
}

Run SetUpRequest(CLI::App& app) {
  struct Arguments {
    RequestOptions options;
    std::string identity;
  };
  CLI::App* action =
      AddAction(app, "request",
                "Makes a party's key, where it stays, and a request for the authority to sign.",
                "fedmeta pki request --dir pki --identity spiffe://heart/client/site-1\n"
                "  fedmeta pki request --dir pki --identity spiffe://heart/coordinator/main --dns "
                "fed.example.org");
  const auto arguments = std::make_shared<Arguments>();
  action
      ->add_option("--dir", arguments->options.dir,
                   "Where the key stays and the request is written")
      ->required();
  action
      ->add_option("--identity", arguments->identity,
                   "spiffe://<federation>/{coordinator,client,researcher,auditor}/<name>")
      ->required();
  action->add_option("--dns", arguments->options.dns_names,
                     "Coordinator: name that clients dial; may be repeated");
  action->add_option("--ip", arguments->options.ip_addresses,
                     "Coordinator: address that clients dial; may be repeated");
  return [arguments] {
    auto identity = IdentityUri::Parse(arguments->identity);
    if (!identity.ok()) return ReportError(identity.error().WithContext("--identity"));
    arguments->options.identity = std::move(identity).value();
    const auto request = MakeRequest(arguments->options);
    if (!request.ok()) return ReportError(request.error());
    std::printf("%s  send this to the authority\n", request.value().c_str());
    std::printf("%s  the key; it stays here\n",
                (arguments->options.dir / (arguments->options.identity.name + ".key")).c_str());
    return 0;
  };
}

Run SetUpSign(CLI::App& app) {
  struct Arguments {
    SignOptions options;
    std::string expected, organisation;
  };
  CLI::App* action =
      AddAction(app, "sign", "Checks a request and signs the certificate it asks for.",
                "fedmeta pki sign --authority authority --request site-1.csr --out site-1.pem "
                "--expect spiffe://heart/client/site-1");
  const auto arguments = std::make_shared<Arguments>();
  action
      ->add_option("--authority", arguments->options.authority_dir,
                   "Folder that `fedmeta pki init` made")
      ->required();
  action->add_option("--request", arguments->options.request, "The party's request")->required();
  action->add_option("--out", arguments->options.certificate, "Where the certificate is written")
      ->required();
  const auto validity = std::make_shared<ValidityOption>(*action, 365, "the certificate");
  action->add_option("--expect", arguments->expected, "Refuse a request for another identity");
  action->add_option("--organisation", arguments->organisation,
                     "Whom the party belongs to; secure aggregation counts organisations");
  return [arguments, validity] {
    if (!arguments->expected.empty()) arguments->options.expected_identity = arguments->expected;
    if (!arguments->organisation.empty()) arguments->options.organisation = arguments->organisation;
    arguments->options.validity = validity->value();
    const SystemClock clock;
    const auto identity = SignRequest(arguments->options, clock);
    if (!identity.ok()) return ReportError(identity.error());
    const std::int64_t seconds = validity->value().count();
    const std::string lasts = seconds % 86'400 == 0 ? std::to_string(seconds / 86'400) + " days"
                                                    : FormatDuration(static_cast<double>(seconds));
    std::printf("%s  %s, %s\n", arguments->options.certificate.c_str(),
                identity.value().ToString().c_str(), lasts.c_str());
    return 0;
  };
}

Run SetUpRenew(CLI::App& app) {
  struct Arguments {
    RenewalOptions options;
    std::string signed_certificate;
  };
  CLI::App* action =
      AddAction(app, "renew",
                "A new certificate for the same identity: makes the request, and, once it is "
                "signed, puts the "
                "new files in the place of the old; running processes take them without a restart.",
                "fedmeta pki renew --certificate site-1.pem --key site-1.key\n"
                "  fedmeta pki renew --certificate site-1.pem --key site-1.key --install new.pem");
  const auto arguments = std::make_shared<Arguments>();
  action->add_option("--certificate", arguments->options.certificate, "In use")->required();
  action->add_option("--key", arguments->options.key, "In use")->required();
  action->add_flag("--same-key", arguments->options.same_key,
                   "Keep the key; otherwise a new one is made, which waits as KEY.next");
  action->add_option("--install", arguments->signed_certificate,
                     "The new certificate, signed by the authority");
  return [arguments] {
    const SystemClock clock;
    const RenewalOptions& options = arguments->options;
    if (!arguments->signed_certificate.empty()) {
      const Status status = InstallRenewal(options, arguments->signed_certificate, clock);
      if (!status.ok()) return ReportError(status.error());
      std::printf("%s  is renewed; running processes take it within seconds\n",
                  options.certificate.c_str());
      return 0;
    }
    const auto request = RequestRenewal(options);
    if (!request.ok()) return ReportError(request.error());
    std::printf("%s  send this to the authority; then install what it signs with --install\n",
                request.value().c_str());
    if (!options.same_key)
      std::printf("%s.next  the new key; it stays here\n", options.key.c_str());
    return 0;
  };
}

Run SetUpRevoke(CLI::App& app) {
  struct Arguments {
    RevokeOptions options;
    std::string identity, serial;
    bool refresh = false;
  };
  CLI::App* action = AddAction(
      app, "revoke",
      "Revokes certificates and signs the list of all that are revoked, denylist.pem, which "
      "coordinators read (identity.revocation_list).",
      "fedmeta pki revoke --authority authority --identity spiffe://heart/client/site-1\n"
      "  fedmeta pki revoke --authority authority --refresh --days 30");
  const auto arguments = std::make_shared<Arguments>();
  action
      ->add_option("--authority", arguments->options.authority_dir,
                   "Folder that `fedmeta pki init` made")
      ->required();
  CLI::Option_group* what = action->add_option_group("what");
  what->add_option("--identity", arguments->identity,
                   "Every certificate that was issued to it until now");
  what->add_option("--serial", arguments->serial, "One certificate; `fedmeta pki show` prints it");
  what->add_flag("--refresh", arguments->refresh, "Revoke nothing more, only sign the list anew");
  what->require_option(1);
  const auto validity = std::make_shared<ValidityOption>(*action, 30, "the list");
  return [arguments, validity] {
    const SystemClock clock;
    RevokeOptions& options = arguments->options;
    if (!arguments->identity.empty()) options.identity = arguments->identity;
    if (!arguments->serial.empty()) options.serial_hex = arguments->serial;
    options.validity = validity->value();
    const auto outcome = Revoke(options, clock);
    if (!outcome.ok()) return ReportError(outcome.error());
    for (const std::string& serial : outcome.value().serials)
      std::printf("revoked      %s\n", serial.c_str());
    if (outcome.value().serials.empty() && !arguments->refresh)
      std::printf("revoked      nothing more: all of it was before\n");
    std::printf("%s  %zu revoked, valid until %s; give it to the coordinator\n",
                outcome.value().list.c_str(), outcome.value().revoked,
                FormatUtc(outcome.value().valid_until).c_str());
    return 0;
  };
}

void PrintJson(const CertificateInfo& info) {
  nlohmann::json object = {{"kind", info.is_request     ? "request"
                                    : info.is_authority ? "authority"
                                                        : "certificate"},
                           {"identity", info.identity},
                           {"dns_names", info.dns_names},
                           {"ip_addresses", info.ip_addresses},
                           {"sha256", info.sha256}};
  if (!info.is_request) {
    object.update({{"issuer", info.issuer},
                   {"serial", info.serial_hex},
                   {"not_before", info.not_before},
                   {"not_after", info.not_after},
                   {"days_left", info.days_left},
                   {"usages", info.usages}});
  }
  // A foreign file may hold bytes that are not UTF-8.
  std::printf("%s\n",
              object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

void PrintText(const CertificateInfo& info) {
  const auto line = [](const char* key, const std::string& value) {
    if (!value.empty()) std::printf("%-12s %s\n", key, value.c_str());
  };
  line("kind", info.is_request ? "request" : info.is_authority ? "authority" : "certificate");
  line("identity", info.identity);
  line("dns", Join(info.dns_names, ", "));
  line("ip", Join(info.ip_addresses, ", "));
  if (!info.is_request) {
    char left[64];
    std::snprintf(left, sizeof(left),
                  info.days_left < 0 ? "(expired %.0f days ago)" : "(%.0f days left)",
                  std::abs(info.days_left));
    line("valid", info.not_before + " to " + info.not_after + " " + left);
    line("usages", Join(info.usages, ", "));
    line("issuer", info.issuer);
    line("serial", info.serial_hex);
  }
  line("sha256", info.sha256);
}

int ShowRevocationLists(const std::string& file, bool json) {
  const auto lists = DescribeRevocationLists(file);
  if (!lists.ok()) return ReportError(lists.error(), json);
  for (const RevocationListInfo& list : lists.value()) {
    if (json) {
      nlohmann::json revoked = nlohmann::json::array();
      for (const auto& [serial, date] : list.revoked)
        revoked.push_back({{"serial", serial}, {"date", date}});
      const nlohmann::json object = {
          {"kind", "revocation_list"},       {"issuer", list.issuer},
          {"number", list.number},           {"this_update", list.this_update},
          {"next_update", list.next_update}, {"revoked", revoked}};
      std::printf("%s\n",
                  object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
      continue;
    }
    std::printf("%-12s %s\n%-12s %s\n%-12s %llu\n%-12s %s to %s\n%-12s %zu\n", "kind",
                "revocation list", "issuer", list.issuer.c_str(), "number",
                static_cast<unsigned long long>(list.number), "valid", list.this_update.c_str(),
                list.next_update.c_str(), "revoked", list.revoked.size());
    for (const auto& [serial, date] : list.revoked)
      std::printf("%-12s %s %s\n", "", serial.c_str(), date.c_str());
  }
  return 0;
}

Run SetUpEpoch(CLI::App& app) {
  struct Arguments {
    std::string authority, coordinator, out, reason;
    std::uint64_t number = 2;
  };
  CLI::App* action = AddAction(
      app, "epoch",
      "Signs a new epoch: sites then accept a coordinator whose state was restored from a backup.",
      "fedmeta pki epoch --authority authority --coordinator spiffe://heart/coordinator/fed "
      "--number 2 --reason 'disk lost' --out epoch-2");
  const auto arguments = std::make_shared<Arguments>();
  action->add_option("--authority", arguments->authority, "Folder that `fedmeta pki init` made")
      ->required();
  action->add_option("--coordinator", arguments->coordinator, "Its identity")->required();
  action
      ->add_option("--number", arguments->number,
                   "Above every earlier one; a coordinator that was never restored is of epoch 1")
      ->required()
      ->check(CLI::Range(std::uint64_t{2}, std::uint64_t{1'000'000'000}));
  action->add_option("--reason", arguments->reason, "For people");
  action->add_option("--out", arguments->out, "Where it is written")->required();
  return [arguments] {
    const SystemClock clock;
    const auto identity = IdentityUri::Parse(arguments->coordinator);
    if (!identity.ok()) return ReportError(identity.error().WithContext("--coordinator"));
    v1::Epoch epoch;
    epoch.set_coordinator(identity.value().ToString());
    epoch.set_number(arguments->number);
    epoch.set_made_ms(static_cast<std::uint64_t>(clock.Wall().time_since_epoch().count()));
    epoch.set_reason(arguments->reason);
    v1::SignedEpoch signed_epoch;
    signed_epoch.set_epoch(epoch.SerializeAsString());
    const auto signature =
        SignAsAuthority(arguments->authority, kEpochDomain, signed_epoch.epoch());
    if (!signature.ok()) return ReportError(signature.error());
    signed_epoch.set_signature(signature.value());
    const Status written =
        WriteFileAtomically(arguments->out, std::string_view(signed_epoch.SerializeAsString()));
    if (!written.ok()) return ReportError(written.error());
    std::printf("%s  epoch %llu of %s; give it to the coordinator (restore --new-epoch)\n",
                arguments->out.c_str(), static_cast<unsigned long long>(arguments->number),
                epoch.coordinator().c_str());
    return 0;
  };
}

Run SetUpShow(CLI::App& app) {
  struct Arguments {
    std::string file;
    bool json = false;
  };
  CLI::App* action =
      AddAction(app, "show", "Says what a certificate, request or list of revoked ones holds.",
                "fedmeta pki show site-1.pem\n  fedmeta pki show --json denylist.pem");
  const auto arguments = std::make_shared<Arguments>();
  action->add_option("file", arguments->file, "Certificate, request or revocation list, PEM")
      ->required();
  action->add_flag("--json", arguments->json, "As one JSON object");
  return [arguments] {
    if (HoldsRevocationLists(arguments->file))
      return ShowRevocationLists(arguments->file, arguments->json);
    const SystemClock clock;
    const auto info = DescribeCertificate(arguments->file, clock);
    if (!info.ok()) return ReportError(info.error(), arguments->json);
    arguments->json ? PrintJson(info.value()) : PrintText(info.value());
    return 0;
  };
}

}  // namespace

Command PkiCommand() {
  return {.name = "pki",
          .description = "Certificate authority and identities of a federation.",
          .example =
              "fedmeta pki init --dir authority --federation heart\n"
              "  fedmeta pki request --dir site --identity spiffe://heart/client/site-1\n"
              "  fedmeta pki sign --authority authority --request site/site-1.csr --out "
              "site/site-1.pem\n"
              "  fedmeta pki show site/site-1.pem",
          .setup = [](CLI::App& app) -> Run {
            app.require_subcommand(1);
            const std::vector<std::pair<std::string, Run>> actions = {
                {"init", SetUpInit(app)},     {"request", SetUpRequest(app)},
                {"sign", SetUpSign(app)},     {"renew", SetUpRenew(app)},
                {"revoke", SetUpRevoke(app)}, {"epoch", SetUpEpoch(app)},
                {"show", SetUpShow(app)}};
            return [&app, actions] {
              for (const auto& [name, run] : actions) {
                if (app.got_subcommand(name)) return run();
              }
              return 2;
            };
          }};
}

}  // namespace fedmeta
