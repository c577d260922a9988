#include "transport_fixture.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;

class CallsTest : public TransportTest {
 protected:
  CallsTest() { StartServer(); }
};

TEST_F(CallsTest, JoinIsAnsweredUnderTheNameOfTheCertificate) {
  const auto welcome = Link()->Join({}, {});
  ASSERT_TRUE(welcome.ok()) << MessageOf(welcome);
  EXPECT_EQ(welcome.value().session_id(), 7U);
  EXPECT_EQ(endpoint_.calls("join site-1"), 1);
  EXPECT_GE(endpoint_.calls("heard site-1"), 1);
}

TEST_F(CallsTest, NextBringsTheInstructionOnceItIsThere) {
  endpoint_.HoldNext();
  std::jthread release([&] {
    endpoint_.WaitForNext();
    endpoint_.ReleaseNext("plan bytes");
  });
  const auto instruction = Link()->Next({}, {});
  ASSERT_TRUE(instruction.ok()) << MessageOf(instruction);
  EXPECT_EQ(instruction.value().plan(), "plan bytes");
}

TEST_F(CallsTest, SendCarriesTheReport) {
  v1::Report report;
  report.mutable_progress()->set_phase("training");
  const Status status = Link()->Send(report, {});
  ASSERT_TRUE(status.ok()) << MessageOf(status);
  EXPECT_EQ(endpoint_.calls("send training"), 1);
}

TEST_F(CallsTest, HeartbeatsPassBesideAHeldNext) {
  endpoint_.HoldNext();
  const auto link = Link();
  std::jthread next([&] { (void)link->Next({}, {}); });
  endpoint_.WaitForNext();
  EXPECT_TRUE(link->Send(Progress(), {}).ok());
  endpoint_.ReleaseNext("");
}

TEST_F(CallsTest, DownloadBringsEveryByte) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{256 * 1024}, std::size_t{3'000'001}}) {
    const Bytes content = MakeContent(size);
    const Digest digest = endpoint_.AddBlob(content);
    Bytes got(size);
    const Status status = Link()->Download(digest, got, {});
    ASSERT_TRUE(status.ok()) << MessageOf(status);
    EXPECT_EQ(got, content);
  }
}

TEST_F(CallsTest, UnknownBlobIsNotFound) {
  Bytes got(10);
  EXPECT_EQ(CodeOf(Link()->Download(Digest::Of("unknown"), got, {})), "not_found");
}

TEST_F(CallsTest, DownloadThatIsLongerThanExpectedIsRefused) {
  const Digest digest = endpoint_.AddBlob(MakeContent(1000));
  Bytes got(999);
  const Status status = Link()->Download(digest, got, {});
  EXPECT_EQ(CodeOf(status), "data_loss");
  EXPECT_THAT(MessageOf(status), HasSubstr("longer than the 999 bytes"));
}

TEST_F(CallsTest, DownloadThatIsShorterThanExpectedIsRefused) {
  const Digest digest = endpoint_.AddBlob(MakeContent(1000));
  Bytes got(1001);
  EXPECT_THAT(MessageOf(Link()->Download(digest, got, {})),
              HasSubstr("1000 bytes, expected were 1001"));
}

TEST_F(CallsTest, DownloadWithAnotherDigestIsRefused) {
  const Digest digest = endpoint_.AddBlob(MakeContent(1000));
  endpoint_.SpoilBlobs();
  Bytes got(1000);
  const Status status = Link()->Download(digest, got, {});
  EXPECT_EQ(CodeOf(status), "data_loss");
  EXPECT_THAT(MessageOf(status), HasSubstr("does not have the digest"));
}

TEST_F(CallsTest, UploadBringsEveryByteWithoutAskingFirst) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{256 * 1024}, std::size_t{3'000'001}}) {
    const Bytes content = MakeContent(size);
    const std::string experiment = "e/" + std::to_string(size);
    const Status status = Link()->Upload(Header(content, experiment), content, {});
    ASSERT_TRUE(status.ok()) << MessageOf(status);
    EXPECT_EQ(endpoint_.Uploaded(experiment), content);
  }
  EXPECT_EQ(endpoint_.calls("upload_status"), 0);
}

TEST_F(CallsTest, UploadThatIsThereAlreadyIsAcknowledgedWithoutItsBytes) {
  v1::UploadPosition position;
  position.set_complete(true);
  endpoint_.AnswerUploadsWith(position);
  const Bytes content = MakeContent(20'000'000);
  const Status status = Link()->Upload(Header(content), content, {});
  ASSERT_TRUE(status.ok()) << MessageOf(status);
  EXPECT_TRUE(endpoint_.Uploaded("e/maml").empty());
}

TEST_F(CallsTest, UploadThatCameTooLateIsSaidToBeWithTheReason) {
  v1::UploadPosition position;
  position.set_complete(true);
  position.set_discarded(true);
  position.set_reason("the deadline passed");
  endpoint_.AnswerUploadsWith(position);
  const Bytes content = MakeContent(1000);
  const Status status = Link()->Upload(Header(content), content, {});
  EXPECT_EQ(CodeOf(status), "failed_precondition");
  EXPECT_THAT(MessageOf(status), HasSubstr("too late: the deadline passed"));
}

TEST_F(CallsTest, UploadWithAnotherDigestIsRefused) {
  const Bytes content = MakeContent(1000);
  v1::UploadHeader header = Header(content);
  header.set_sha256(Digest::Of("other").bytes());
  EXPECT_EQ(CodeOf(Link()->Upload(header, content, {})), "data_loss");
}

TEST_F(CallsTest, UploadThatGoesOnBeyondItsSizeIsEnded) {
  const Bytes content = MakeContent(2'000'000);
  v1::UploadHeader header = Header(content);
  header.set_size(1000);
  EXPECT_EQ(CodeOf(Link()->Upload(header, content, {})), "resource_exhausted");
  endpoint_.WaitForOpenSinks(0);
}

TEST_F(CallsTest, UploadThatEndsEarlyIsRefused) {
  const Bytes content = MakeContent(1000);
  v1::UploadHeader header = Header(content);
  header.set_size(1001);
  EXPECT_THAT(MessageOf(Link()->Upload(header, content, {})),
              HasSubstr("after 1000 of 1001 bytes"));
}

TEST_F(CallsTest, UploadSendsNothingUntilASlotIsFree) {
  endpoint_.TakeSlot();
  const Bytes content = MakeContent(20'000'000);
  const auto link = Link();
  Status status;
  {
    std::jthread upload([&] { status = link->Upload(Header(content), content, {}); });
    endpoint_.WaitForUploads(1);
    EXPECT_TRUE(endpoint_.Uploaded("e/maml").empty());
    endpoint_.FreeSlot();
  }
  EXPECT_TRUE(status.ok()) << MessageOf(status);
  EXPECT_EQ(endpoint_.Uploaded("e/maml"), content);
}

TEST_F(CallsTest, FinalErrorsComeBackWithTheirCode) {
  for (const ErrorCode code :
       {ErrorCode::kInvalidArgument, ErrorCode::kPermissionDenied, ErrorCode::kFailedPrecondition,
        ErrorCode::kAlreadyExists, ErrorCode::kFederationFailed}) {
    endpoint_.AnswerJoinWith(code);
    const auto welcome = Link()->Join({}, {});
    EXPECT_EQ(CodeOf(welcome), ErrorCodeName(code));
    EXPECT_EQ(MessageOf(welcome), "as the test wants");
  }
}

TEST_F(CallsTest, ServerNameMayDifferFromTheAddress) {
  v1::CoordinatorAddress address = Address(server_->port());
  address.set_server_name("fed.example.org");
  EXPECT_TRUE(Link(address, Fixed("spiffe://heart/client/site-1"))->Join({}, {}).ok());
}

TEST_F(CallsTest, SecondServerOnOnePortIsRefused) {
  RecordingLogger log;
  const std::string listen = "127.0.0.1:" + std::to_string(server_->port());
  const auto second = GrpcServer::Start({.listen = listen, .members = {}, .limits = {}},
                                        Fixed("spiffe://heart/coordinator/main"), endpoint_, log);
  EXPECT_EQ(CodeOf(second), "unavailable");
  EXPECT_THAT(MessageOf(second),
              HasSubstr("port " + std::to_string(server_->port()) + " is in use"));
}

TEST_F(CallsTest, ListenAddressWithoutPortIsRefused) {
  RecordingLogger log;
  const auto server = GrpcServer::Start({.listen = "localhost", .members = {}, .limits = {}},
                                        Fixed("spiffe://heart/coordinator/main"), endpoint_, log);
  EXPECT_EQ(CodeOf(server), "invalid_argument");
  EXPECT_THAT(MessageOf(server), HasSubstr("listen: 'localhost' has no port"));
}

}  // namespace
}  // namespace fedmeta
