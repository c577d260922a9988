#include <gmock/gmock.h>

#include "fedmeta/tests/configs/config_files.h"
#include "fedmeta/v1/data.pb.h"

// Client and coordinator files, and telling the three kinds apart.
namespace fedmeta {
namespace {

constexpr const char* kClient =
    R"(coordinator: {address: "fed.example.org:443", server_name: fed.example.org, proxy: "http://proxy.local:3128", proxy_password_file: /etc/fedmeta/proxy.secret, keepalive: 30s}
identity: {certificate: site.pem, key: site.key, trust: federation-ca.pem}
state_dir: /var/lib/fedmeta
resources: {threads: 4}
data:
  heart:
    source: {name: idx, path: images}
  waves: {source: {name: sinusoid}, role: holdout}
log: {level: info, format: text}
)";
constexpr const char* kCoordinator = R"(listen: "0.0.0.0:8443"
identity: {certificate: coordinator.pem, key: coordinator.key, trust: federation-ca.pem}
store: memory
experiment: experiment.yaml
initial_state: initial.safetensors
members: ["spiffe://heart/client/*"]
limits: {connections: 10000, model_mib: 1024, staging_slots: 2}
)";

class PartyFiles : public ::testing::Test {
 protected:
  Result<Validated<v1::ClientFile>> Client(const std::string& yaml) {
    return loader_.LoadClient(folder_.Write("c.yaml", yaml));
  }
  Result<Validated<v1::CoordinatorFile>> Coordinator(const std::string& yaml) {
    return loader_.LoadCoordinator(folder_.Write("c.yaml", yaml));
  }
  template <typename Loaded>
  std::string ProblemsOf(const Loaded& loaded) {
    return ProblemsIn(folder_.path(), loaded);
  }
  Loader::FileKind Kind(const std::string& yaml) {
    const auto kind = loader_.GuessKind(folder_.Write("k.yaml", yaml));
    EXPECT_TRUE(kind.ok());
    return *kind;
  }
  TemporaryFolder folder_;
  const Loader loader_{BuiltinPluginTables()};
};

TEST_F(PartyFiles, AClientMapsNamesToItsOwnSources) {
  const auto client = Client(kClient);
  ASSERT_TRUE(client.ok()) << client.error().message();
  EXPECT_EQ((*client)->identity().key(), (folder_.path() / "site.key").string());
  ASSERT_EQ((*client)->data_size(), 2);
  const v1::SiteData& heart = (*client)->data().at("heart");
  EXPECT_EQ(heart.role(), "train");
  v1::IdxSettings idx;
  ASSERT_TRUE(heart.source().settings().UnpackTo(&idx));
  EXPECT_EQ(idx.path(), (folder_.path() / "images").string());
  EXPECT_EQ((*client)->data().at("waves").role(), "holdout");
  EXPECT_EQ(client->places().Find("data.heart.source.path").line, 7);
}
TEST_F(PartyFiles, AClientFileForAdaptingAloneNeedsDataOnly) {
  const auto client = Client("data: {heart: {source: {name: idx, path: images}}}\n");
  ASSERT_TRUE(client.ok()) << client.error().message();
  EXPECT_FALSE((*client)->has_coordinator());
  EXPECT_FALSE((*client)->has_identity());
  EXPECT_EQ((*client)->state_dir(), (folder_.path() / "state").string());
}
TEST_F(PartyFiles, AClientWithoutData) {
  EXPECT_EQ(ProblemsOf(Client("data: {}\n")),
            "c.yaml:1:1: data needs at least one entry: By what experiments call data.name.");
}
TEST_F(PartyFiles, ASourceThatIsUnknown) {
  EXPECT_EQ(ProblemsOf(Client(With(kClient, "idx", "idy"))),
            "c.yaml:7:20: data.heart.source.name must be one of command, csv, idx, npz, sinusoid, "
            "text, got "
            "'idy'; did you mean 'idx'?");
}
TEST_F(PartyFiles, ARoleThatIsUnknown) {
  EXPECT_EQ(ProblemsOf(Client(With(kClient, "holdout", "hold-out"))),
            "c.yaml:8:43: data.waves.role must be one of train, validation, holdout, got "
            "'hold-out'; did you mean 'holdout'?");
}
TEST_F(PartyFiles, ANameOfDataThatNoExperimentCanHave) {
  EXPECT_EQ(ProblemsOf(Client(With(kClient, "  heart:", "  heart disease:"))),
            "c.yaml:6:3: data.heart disease must be 1 to 100 letters, digits, '-' or '_', got "
            "'heart disease'");
}
TEST_F(PartyFiles, AnAddressWithoutAPort) {
  EXPECT_EQ(ProblemsOf(Client(With(kClient, "fed.example.org:443", "fed.example.org"))),
            "c.yaml:1:24: coordinator.address must be host:port with a port from 1 to 65535, such "
            "as fed.example.org:8443, got 'fed.example.org'");
}
TEST_F(PartyFiles, AnAddressInIpVersion6) {
  EXPECT_EQ(ProblemsOf(Client(With(kClient, "fed.example.org:443", "[::1]:443"))), "no problem");
}
TEST_F(PartyFiles, APasswordInTheProxysAddress) {
  EXPECT_EQ(ProblemsOf(Client(With(kClient, "http://proxy.local", "http://me:secret@proxy.local"))),
            "c.yaml:1:84: coordinator.proxy must not hold a password; put it into a file and name "
            "that in proxy_password_file");
}
TEST_F(PartyFiles, AProxyThatIsNoUrl) {
  EXPECT_EQ(ProblemsOf(Client(With(kClient, "http://proxy.local:3128", "proxy.local:3128"))),
            "c.yaml:1:84: coordinator.proxy must be http://host:port or http://user@host:port, got "
            "'proxy.local:3128'");
}
TEST_F(PartyFiles, APasswordFileWithoutAProxy) {
  EXPECT_EQ(ProblemsOf(Client(With(kClient, "proxy: \"http://proxy.local:3128\", ", ""))),
            "c.yaml:1:98: coordinator.proxy_password_file needs coordinator.proxy");
}
TEST_F(PartyFiles, AnIdentityWithoutAKey) {
  EXPECT_EQ(ProblemsOf(Client(With(kClient, "key: site.key, ", ""))),
            "c.yaml:2:1: identity.key is required: PEM, the private key; made on site by `fedmeta "
            "pki request`.");
}

TEST_F(PartyFiles, ACoordinatorFile) {
  const auto coordinator = Coordinator(kCoordinator);
  ASSERT_TRUE(coordinator.ok()) << coordinator.error().message();
  EXPECT_EQ((*coordinator)->experiment(), (folder_.path() / "experiment.yaml").string());
  EXPECT_EQ((*coordinator)->limits().upload_idle().seconds(), 30);
  EXPECT_FALSE((*coordinator)->has_out());
}
TEST_F(PartyFiles, APortBeyondItsRange) {
  EXPECT_EQ(ProblemsOf(Coordinator(With(kCoordinator, "0.0.0.0:8443", "0.0.0.0:65536"))),
            "c.yaml:1:9: listen must be host:port with a port from 0 to 65535, such as "
            "fed.example.org:8443, got '0.0.0.0:65536'");
}
TEST_F(PartyFiles, NoMembers) {
  EXPECT_EQ(
      ProblemsOf(Coordinator(With(kCoordinator, "[\"spiffe://heart/client/*\"]", "[]"))),
      "c.yaml:6:1: members needs at least one: Identities that may join; a trailing * matches "
      "any name.");
}
TEST_F(PartyFiles, AMemberThatIsNoIdentity) {
  EXPECT_EQ(ProblemsOf(Coordinator(With(kCoordinator, "spiffe://heart/client/*", "heart/*/x"))),
            "c.yaml:6:11: members[0] must be an identity such as spiffe://heart/client/*, where * "
            "may stand at the end only, got 'heart/*/x'");
}

TEST_F(PartyFiles, AreToldApartByTheirKeys) {
  EXPECT_EQ(Kind(kExperiment), Loader::FileKind::kExperiment);
  EXPECT_EQ(Kind(kClient), Loader::FileKind::kClient);
  EXPECT_EQ(Kind(kCoordinator), Loader::FileKind::kCoordinator);
}
TEST_F(PartyFiles, WithOnlyDataAreAClients) {
  EXPECT_EQ(Kind("data: {heart: {source: {name: idx, path: images}}}\n"),
            Loader::FileKind::kClient);
}
TEST_F(PartyFiles, AreToldApartInSpiteOfAMisspeltKey) {
  EXPECT_EQ(Kind(With(kExperiment, "federation", "federations")), Loader::FileKind::kExperiment);
}
TEST_F(PartyFiles, OfNoKindAreRefused) {
  const auto kind = loader_.GuessKind(folder_.Write("k.yaml", "apples: 3\n"));
  ASSERT_FALSE(kind.ok());
  EXPECT_THAT(
      Problems(kind.error()),
      ::testing::HasSubstr("k.yaml:1:1: this is no experiment, client or coordinator file"));
}

}  // namespace
}  // namespace fedmeta
