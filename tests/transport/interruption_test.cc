#include <thread>

#include "relay.h"
#include "transport_fixture.h"

namespace fedmeta {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class InterruptionTest : public TransportTest {};

TEST_F(InterruptionTest, UploadResumesWhereTheConnectionBroke) {
  StartServer();
  Relay relay(server_->port());
  const auto link = Link(Address(relay.port()), Fixed("spiffe://heart/client/site-1"));
  const Bytes content = MakeContent(20'000'000);
  relay.CutAfter(10'000'000);
  const Status status = link->Upload(Header(content), content, {});
  ASSERT_TRUE(status.ok()) << MessageOf(status);
  EXPECT_EQ(endpoint_.Uploaded("e/maml"), content);
  EXPECT_GE(endpoint_.calls("upload_status"), 1);
  EXPECT_GT(endpoint_.last_upload_offset(), 0U);
  endpoint_.WaitForOpenSinks(0);
}

TEST_F(InterruptionTest, DownloadResumesWhereTheConnectionBroke) {
  StartServer();
  Relay relay(server_->port());
  const auto link = Link(Address(relay.port()), Fixed("spiffe://heart/client/site-1"));
  const Bytes content = MakeContent(20'000'000);
  const Digest digest = endpoint_.AddBlob(content);
  relay.CutAfter(10'000'000);
  Bytes got(content.size());
  const Status status = link->Download(digest, got, {});
  ASSERT_TRUE(status.ok()) << MessageOf(status);
  EXPECT_EQ(got, content);
  EXPECT_EQ(endpoint_.calls("download"), 2);
}

TEST_F(InterruptionTest, LossAndRecoveryAreLoggedOnceEach) {
  StartServer();
  Relay relay(server_->port());
  const auto link = Link(Address(relay.port()), Fixed("spiffe://heart/client/site-1"));
  ASSERT_TRUE(link->Join({}, {}).ok());
  const int port = server_->port();
  server_.reset();
  Status status;
  {
    std::jthread call([&] { status = link->Send(Progress(), {}); });
    while (client_log_.lines().empty()) std::this_thread::yield();
    StartServer({}, "127.0.0.1:" + std::to_string(port));
  }
  EXPECT_TRUE(status.ok()) << MessageOf(status);
  const auto lines = client_log_.lines();
  EXPECT_THAT(lines.front(), HasSubstr("coordinator_not_reached"));
  EXPECT_THAT(lines.back(), HasSubstr("coordinator_reached"));
}

TEST_F(InterruptionTest, ClientMayStartBeforeTheServer) {
  StartServer();
  const int port = server_->port();
  server_.reset();
  const auto link = Link(Address(port), Fixed("spiffe://heart/client/site-1"));
  Result<v1::Welcome> welcome = Error(ErrorCode::kInternal, "not yet");
  {
    std::jthread call([&] { welcome = link->Join({}, {}); });
    while (client_log_.lines().empty()) std::this_thread::yield();
    StartServer({}, "127.0.0.1:" + std::to_string(port));
  }
  EXPECT_TRUE(welcome.ok()) << MessageOf(welcome);
  EXPECT_THAT(client_log_.lines().front(),
              AllOf(HasSubstr("cannot reach the coordinator"), HasSubstr("Connection refused")));
}

TEST_F(InterruptionTest, StopEndsAHeldNext) {
  StartServer();
  endpoint_.HoldNext();
  const auto link = Link();
  std::stop_source stop;
  std::jthread stopper([&] {
    endpoint_.WaitForNext();
    stop.request_stop();
  });
  EXPECT_EQ(CodeOf(link->Next({}, stop.get_token())), "cancelled");
}

TEST_F(InterruptionTest, StopEndsTheWaitBetweenTries) {
  StartServer();
  const int port = server_->port();
  server_.reset();
  const auto link = Link(Address(port), Fixed("spiffe://heart/client/site-1"));
  std::stop_source stop;
  std::jthread stopper([&] {
    while (client_log_.lines().empty()) std::this_thread::yield();
    stop.request_stop();
  });
  EXPECT_EQ(CodeOf(link->Join({}, stop.get_token())), "cancelled");
}

TEST_F(InterruptionTest, StopEndsAnUploadThatWaitsForASlot) {
  StartServer();
  endpoint_.TakeSlot();
  const auto link = Link();
  const Bytes content = MakeContent(1000);
  std::stop_source stop;
  std::jthread stopper([&] {
    endpoint_.WaitForUploads(1);
    stop.request_stop();
  });
  EXPECT_EQ(CodeOf(link->Upload(Header(content), content, stop.get_token())), "cancelled");
  // The slot that comes free later is not held by the call that is gone.
  stopper.join();
  endpoint_.FreeSlot();
  endpoint_.WaitForOpenSinks(0);
}

TEST_F(InterruptionTest, ServerStopEndsHeldCallsAndWaitingUploads) {
  StartServer();
  endpoint_.HoldNext();
  endpoint_.TakeSlot();
  const auto link = Link();
  const Bytes content = MakeContent(1000);
  std::stop_source stop;
  std::jthread next([&] { (void)link->Next({}, stop.get_token()); });
  std::jthread upload([&] { (void)link->Upload(Header(content), content, stop.get_token()); });
  endpoint_.WaitForNext();
  endpoint_.WaitForUploads(1);
  server_->Stop(10);
  server_->Stop(10);
  stop.request_stop();
  // Answers that come after the end reach nobody.
  endpoint_.ReleaseNext("late");
  endpoint_.FreeSlot();
  endpoint_.WaitForOpenSinks(0);
}

TEST_F(InterruptionTest, StalledUploadLosesItsSlotAndGoesOnLater) {
  StartServer({.stream_idle_ms = 200});
  Relay relay(server_->port());
  const auto link = Link(Address(relay.port()), Fixed("spiffe://heart/client/site-1"));
  const Bytes content = MakeContent(20'000'000);
  Status status;
  {
    std::jthread upload([&] { status = link->Upload(Header(content), content, {}); });
    endpoint_.WaitForBytes(1'000'000);
    relay.Hold();
    endpoint_.WaitForOpenSinks(0);
    relay.Resume();
  }
  ASSERT_TRUE(status.ok()) << MessageOf(status);
  EXPECT_EQ(endpoint_.Uploaded("e/maml"), content);
}

TEST_F(InterruptionTest, CrawlingUploadLosesItsSlot) {
  StartServer({.stream_idle_ms = 1000, .minimum_bytes_per_second = 1'000'000'000});
  Relay relay(server_->port());
  const auto link = Link(Address(relay.port()), Fixed("spiffe://heart/client/site-1"));
  const Bytes content = MakeContent(20'000'000);
  relay.Throttle();  // 1.6 MB a second: a piece comes long before the peer counts as idle
  std::stop_source stop;
  Status status;
  {
    std::jthread upload([&] { status = link->Upload(Header(content), content, stop.get_token()); });
    while (client_log_.lines().empty()) std::this_thread::yield();
    stop.request_stop();
  }
  EXPECT_THAT(client_log_.lines().front(), HasSubstr("slower than 1000000000 bytes a second"));
  EXPECT_TRUE(endpoint_.Uploaded("e/maml").empty());
  endpoint_.WaitForOpenSinks(0);
}

}  // namespace
}  // namespace fedmeta
