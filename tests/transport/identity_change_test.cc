#include <thread>

#include "transport_fixture.h"

// Identities that change while connections stand.
namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

class IdentityChangeTest : public TransportTest {
 protected:
  IdentityChangeTest() { StartServer(); }
  const Error revoked_{ErrorCode::kPermissionDenied, "the certificate is revoked"};
};

TEST_F(IdentityChangeTest, HeldPollOfARevokedClientEnds) {
  endpoint_.HoldNext();
  const auto link = Link();
  Result<v1::Instruction> instruction = Error(ErrorCode::kInternal, "not yet");
  {
    std::jthread next([&] { instruction = link->Next({}, {}); });
    endpoint_.WaitForNext();
    coordinator_->SetPeers(revoked_);
  }
  EXPECT_EQ(CodeOf(instruction), "permission_denied");
  EXPECT_THAT(server_log_.lines(),
              AllOf(Contains(HasSubstr("calls_ended calls=1")),
                    Contains(HasSubstr("peer_cut_off peer=spiffe://heart/client/site-1"))));
  endpoint_.ReleaseNext("late");
}

TEST_F(IdentityChangeTest, RunningUploadOfARevokedClientEnds) {
  endpoint_.TakeSlot();
  const auto link = Link();
  const Bytes content = MakeContent(3'000'000);
  Status status;
  {
    std::jthread upload([&] { status = link->Upload(Header(content), content, {}); });
    endpoint_.WaitForUploads(1);
    coordinator_->SetPeers(revoked_);
  }
  EXPECT_EQ(CodeOf(status), "permission_denied");
  endpoint_.FreeSlot();
  endpoint_.WaitForOpenSinks(0);
  EXPECT_TRUE(endpoint_.Uploaded("e/maml").empty());
}

TEST_F(IdentityChangeTest, RevokedClientIsRefusedWithTheReasonLogged) {
  const auto link = Link();
  ASSERT_TRUE(link->Join({}, {}).ok());
  coordinator_->SetPeers(revoked_);
  EXPECT_EQ(CodeOf(link->Join({}, {})), "permission_denied");
  EXPECT_THAT(server_log_.lines(),
              Contains(AllOf(HasSubstr("peer_refused"), HasSubstr("spiffe://heart/client/site-1"),
                             HasSubstr("is revoked"))));
}

TEST_F(IdentityChangeTest, UnusableListRefusesAndTheClientGoesOnWhenThereIsANewOne) {
  const auto link = Link();
  ASSERT_TRUE(link->Join({}, {}).ok());
  coordinator_->SetPeers(Error(ErrorCode::kUnavailable, "the list is stale"));
  Status status = Error(ErrorCode::kInternal, "not yet");
  {
    std::jthread call([&] { status = link->Send(Progress(), {}); });
    while (client_log_.lines().empty()) std::this_thread::yield();
    coordinator_->SetPeers({});
  }
  EXPECT_TRUE(status.ok()) << MessageOf(status);
  EXPECT_THAT(client_log_.lines().front(), HasSubstr("list of revoked certificates"));
  EXPECT_THAT(server_log_.lines(), Contains(HasSubstr("the list is stale")));
}

TEST_F(IdentityChangeTest, ServerShowsItsRenewedCertificateToNewConnections) {
  ASSERT_TRUE(Link()->Join({}, {}).ok());
  // Of another authority, so that it shows which one answered.
  MakeAuthority("next");
  coordinator_->Renew(Identity("spiffe://heart/coordinator/main", "next"));
  const auto welcome =
      Link(Address(server_->port()), Fixed("spiffe://heart/client/site-1", "next"))->Join({}, {});
  EXPECT_TRUE(welcome.ok()) << MessageOf(welcome);
}

TEST_F(IdentityChangeTest, ClientUsesItsRenewedCertificateFromTheNextCallOn) {
  const auto identity = Fixed("spiffe://heart/client/site-1");
  const auto link = Link(Address(server_->port()), identity);
  ASSERT_TRUE(link->Join({}, {}).ok());
  identity->Renew(Identity("spiffe://heart/client/site-2"));
  ASSERT_TRUE(link->Join({}, {}).ok());
  EXPECT_EQ(endpoint_.calls("join site-2"), 1);
}

TEST_F(IdentityChangeTest, ExpiredClientGoesOnWithItsRenewedCertificate) {
  const auto identity = Fixed("spiffe://heart/client/site-1");
  const auto link = Link(Address(server_->port()), identity);
  ASSERT_TRUE(link->Join({}, {}).ok());
  coordinator_->SetPeers(Error(ErrorCode::kUnauthenticated, "the certificate has expired"));
  Status status = Error(ErrorCode::kInternal, "not yet");
  {
    std::jthread call([&] { status = link->Send(Progress(), {}); });
    while (client_log_.lines().empty()) std::this_thread::yield();
    identity->Renew(Identity("spiffe://heart/client/site-1"));
    coordinator_->SetPeers({});
  }
  EXPECT_TRUE(status.ok()) << MessageOf(status);
}

TEST_F(IdentityChangeTest, NothingIsSentToARevokedCoordinator) {
  const auto identity = Fixed("spiffe://heart/client/site-1");
  identity->SetPeers(revoked_);
  const auto link = Link(Address(server_->port()), identity);
  const auto welcome = link->Join({}, {});
  EXPECT_EQ(CodeOf(welcome), "unauthenticated");
  EXPECT_THAT(MessageOf(welcome), AllOf(HasSubstr("coordinator's certificate does not count"),
                                        HasSubstr("is revoked")));
  EXPECT_EQ(endpoint_.calls("join site-1"), 0);
}

TEST_F(IdentityChangeTest, NothingMoreIsSentToACoordinatorOnceItIsRevoked) {
  const auto identity = Fixed("spiffe://heart/client/site-1");
  const auto link = Link(Address(server_->port()), identity);
  ASSERT_TRUE(link->Join({}, {}).ok());
  identity->SetPeers(revoked_);
  std::stop_source stop;
  {
    std::jthread call([&] { (void)link->Join({}, stop.get_token()); });
    while (client_log_.lines().empty()) std::this_thread::yield();
    stop.request_stop();
  }
  EXPECT_EQ(endpoint_.calls("join site-1"), 1);
}

TEST_F(IdentityChangeTest, StandingConnectionsMeetTheRenewedCertificateInTheirTime) {
  server_.reset();
  StartServer({.connection_age_ms = 200});
  const auto identity = Fixed("spiffe://heart/client/site-1");
  const auto link = Link(Address(server_->port()), identity);
  ASSERT_TRUE(link->Join({}, {}).ok());
  coordinator_->Renew(Identity("spiffe://heart/coordinator/main"));
  const std::string renewed = coordinator_->credentials()->certificate_pem;
  while (identity->last_peer().find(renewed) == std::string::npos)
    ASSERT_TRUE(link->Send(Progress(), {}).ok());
}

TEST_F(IdentityChangeTest, StreamsOutliveTheAgeOfTheirConnection) {
  server_.reset();
  StartServer({.connection_age_ms = 100});
  const auto link = Link();
  const Bytes content = MakeContent(20'000'000);
  const Digest digest = endpoint_.AddBlob(content);
  Bytes got(content.size());
  Status status = link->Download(digest, got, {});
  ASSERT_TRUE(status.ok()) << MessageOf(status);
  EXPECT_EQ(got, content);
  status = link->Upload(Header(content), content, {});
  ASSERT_TRUE(status.ok()) << MessageOf(status);
  EXPECT_EQ(endpoint_.Uploaded("e/maml"), content);
}

}  // namespace
}  // namespace fedmeta
