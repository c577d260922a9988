#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fedmeta/coordinator/audit_log.h"
#include "fedmeta/coordinator/audit_verifier.h"
#include "fedmeta/core/file.h"
#include "fedmeta/identity/signature.h"
#include "fedmeta/protocol/audit_chain.h"
#include "fedmeta/site/audit_witness.h"
#include "fedmeta/tests/identity/pki_fixture.h"

namespace fedmeta {

/// An identity that does not change.
class FixedIdentity final : public IdentitySource {
 public:
  explicit FixedIdentity(Credentials credentials)
      : credentials_(std::make_shared<const Credentials>(std::move(credentials))) {}
  std::shared_ptr<const Credentials> credentials() const override { return credentials_; }
  Status CheckPeer(std::string_view) const override { return {}; }
  void OnChange(std::function<void()>) override {}

 private:
  std::shared_ptr<const Credentials> credentials_;
};

class AuditTest : public PkiTest {
 protected:
  AuditTest() {
    Authority();
    coordinator_ = Identity("coordinator", "fed", IdentityRole::kCoordinator);
    site_ = Identity("client", "site-1", IdentityRole::kClient);
    trust_ = ReadFile(folder_ / "authority/authority.pem").value();
    std::filesystem::create_directory(folder_ / "state");
    log_ = Open();
    EXPECT_TRUE(log_->Started(Heart(), false).ok());
  }
  static AuditLog::Run Heart(bool secure = false, bool charges = false) {
    return {.experiment = "heart",
            .offer = Digest::Of("offer"),
            .visible = "individual updates visible",
            .secure = secure,
            .charges = charges};
  }
  /// Of a training round.
  static RoundPlan Plan(std::uint64_t round) {
    v1::RoundPlan plan;
    *plan.mutable_key() = ToMessage(Round(round).key);
    plan.set_assignment_hash(Digest::Of("assignment").bytes());
    plan.set_state_hash(Digest::Of("state").bytes());
    plan.set_assignment_size(10);
    plan.set_state_coordinates(10);
    plan.set_maximum_weight(1);
    plan.mutable_train();
    return RoundPlan::Create(plan).value();
  }
  std::unique_ptr<FixedIdentity> Identity(const std::string& role, const std::string& name,
                                          IdentityRole expected) {
    const auto request = Request("spiffe://heart/" + role + "/" + name);
    EXPECT_TRUE(PkiTest::Sign(request).ok());
    return std::make_unique<FixedIdentity>(
        LoadCredentials(Files(request), expected, clock_).value());
  }
  std::unique_ptr<AuditLog> Open(std::uint64_t epoch = 1) {
    return AuditLog::Open({.file = file_, .epoch = epoch}, *coordinator_, clock_).value();
  }
  std::unique_ptr<AuditWitness> Witness() {
    return AuditWitness::Open(folder_ / "state", *site_, clock_).value();
  }
  static AttemptRecord Round(std::uint64_t round) {
    AttemptRecord record;
    record.key = {.experiment = ExperimentId("heart/maml"),
                  .purpose = Purpose::kTrain,
                  .round = round,
                  .attempt = 1,
                  .session = 0};
    record.committed = true;
    record.reported = {ClientId("site-1"), ClientId("site-2")};
    record.state_hash = Digest::Of("state " + std::to_string(round));
    return record;
  }
  static RunHistory HistoryOf(const std::vector<AttemptRecord>& records) {
    std::vector<JournalEntry> journal;
    for (const AttemptRecord& record : records)
      journal.push_back({.key = record.key, .outcome = SerializeRecord(record)});
    return RunHistory::Create(std::move(journal)).value();
  }
  void Commit(std::uint64_t round) {
    ASSERT_TRUE(log_->AttemptEnded(Round(round), Digest::Of("plan")).ok());
  }
  /// The site takes the head that the coordinator has for it, and sends what it signed.
  Status Meet(AuditWitness& witness) {
    const ClientId client("site-1");
    log_->Seen(client, witness.place());
    const std::string head = log_->HeadFor(client);
    if (head.empty()) return {};
    FEDMETA_RETURN_IF_ERROR(witness.Take(head));
    return log_->Countersigned(client, witness.TakeCountersignature());
  }
  AuditFindings Verify() { return VerifyAudit(file_, trust_).value(); }

  std::vector<std::string> Lines() const {
    std::vector<std::string> lines;
    std::istringstream in(ReadFile(file_).value());
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  void Write(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    ASSERT_TRUE(WriteFileAtomically(file_, std::string_view(text)).ok());
  }
  std::size_t LineOf(const std::string& kind) const {
    const std::vector<std::string> lines = Lines();
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (lines[i].find("\"kind\":\"" + kind + "\"") != std::string::npos) return i;
    }
    ADD_FAILURE() << "no " << kind;
    return 0;
  }
  /// Somebody with the coordinator's key: the chain and its heads are made anew over other texts.
  void Rewrite(std::function<void(std::string&)> change) {
    std::string text;
    Digest previous;
    std::vector<Digest> hashes;
    std::string chain;
    for (std::string line : Lines()) {
      change(line);
      nlohmann::ordered_json object = nlohmann::ordered_json::parse(line);
      object.erase("hash");
      if (object["kind"] == "chain") chain = object["chain"];
      if (object["kind"] == "head") {
        v1::AuditPlace place;
        place.set_chain(chain);
        place.set_index(object["index"].get<std::uint64_t>());
        place.set_hash(hashes[place.index() - 1].bytes());
        place.set_epoch(1);
        const std::string bytes = place.SerializeAsString();
        object["place"] = Hex(bytes);
        object["signature"] =
            Hex(SignStatement(*coordinator_->credentials(), kAuditHeadDomain, bytes).value());
      }
      std::string body = object.dump();
      body.pop_back();
      previous = NextAuditHash(previous, Digest::Of(body));
      hashes.push_back(previous);
      text += body + ",\"hash\":\"" + previous.hex() + "\"}\n";
    }
    ASSERT_TRUE(WriteFileAtomically(file_, std::string_view(text)).ok());
  }
  static std::string Hex(const std::string& bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string hex;
    for (const char c : bytes) {
      hex += kDigits[static_cast<unsigned char>(c) >> 4U];
      hex += kDigits[static_cast<unsigned char>(c) & 15U];
    }
    return hex;
  }
  static void Replace(std::string& text, const std::string& from, const std::string& to) {
    if (const std::size_t at = text.find(from); at != std::string::npos)
      text.replace(at, from.size(), to);
  }
  std::string SignedEpoch(std::uint64_t number, const std::string& authority = "authority") {
    v1::Epoch epoch;
    epoch.set_coordinator("spiffe://heart/coordinator/fed");
    epoch.set_number(number);
    v1::SignedEpoch signed_epoch;
    signed_epoch.set_epoch(epoch.SerializeAsString());
    signed_epoch.set_signature(
        SignAsAuthority(folder_ / authority, kEpochDomain, signed_epoch.epoch()).value());
    return signed_epoch.SerializeAsString();
  }

  const std::filesystem::path file_ = folder_ / "audit.jsonl";
  std::unique_ptr<FixedIdentity> coordinator_, site_;
  std::string trust_;
  std::unique_ptr<AuditLog> log_;
};

}  // namespace fedmeta
