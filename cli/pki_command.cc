#include <cstdio>
#include <memory>

#include <nlohmann/json.hpp>

#include "fedmeta/cli/commands.h"
#include "fedmeta/core/clock.h"
#include "fedmeta/core/text.h"
#include "fedmeta/identity/authority.h"

namespace fedmeta {
namespace {

using Run = std::function<int()>;

CLI::App* AddAction(CLI::App& app, const char* name, const char* description, const char* example) {
  CLI::App* action = app.add_subcommand(name, description);
  action->footer(std::string("Example:\n  ") + example);
  return action;
}

Run SetUpInit(CLI::App& app) {
  CLI::App* action =
      AddAction(app, "init", "Makes a federation's certificate authority; keep its folder offline.",
                "fedmeta pki init --dir authority --federation heart");
  const auto options = std::make_shared<AuthorityOptions>();
  action->add_option("--dir", options->dir, "Folder of the authority, made if need be")->required();
  action->add_option("--federation", options->federation, "Name of the federation")->required();
  action->add_option("--days", options->days, "How long the authority is valid")
      ->capture_default_str();
  return [options] {
    const SystemClock clock;
    if (const Status status = InitAuthority(*options, clock); !status.ok())
      return ReportError(status.error());
    std::printf("authority of '%s' in %s\n", options->federation.c_str(), options->dir.c_str());
    std::printf("  authority.pem  give it to every party (identity.trust)\n");
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
    std::string expected;
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
  action->add_option("--days", arguments->options.days, "How long the certificate is valid")
      ->capture_default_str();
  action->add_option("--expect", arguments->expected, "Refuse a request for another identity");
  return [arguments] {
    if (!arguments->expected.empty()) arguments->options.expected_identity = arguments->expected;
    const SystemClock clock;
    const auto identity = SignRequest(arguments->options, clock);
    if (!identity.ok()) return ReportError(identity.error());
    std::printf("%s  %s, %d days\n", arguments->options.certificate.c_str(),
                identity.value().ToString().c_str(), arguments->options.days);
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

Run SetUpShow(CLI::App& app) {
  struct Arguments {
    std::string file;
    bool json = false;
  };
  CLI::App* action = AddAction(app, "show", "Says what a certificate or request holds.",
                               "fedmeta pki show site-1.pem\n  fedmeta pki show --json site-1.csr");
  const auto arguments = std::make_shared<Arguments>();
  action->add_option("file", arguments->file, "Certificate or request, PEM")->required();
  action->add_flag("--json", arguments->json, "As one JSON object");
  return [arguments] {
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
                {"init", SetUpInit(app)},
                {"request", SetUpRequest(app)},
                {"sign", SetUpSign(app)},
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
