#include <array>

#include "transport_fixture.h"
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>

#include "fedmeta/core/rng.h"
#include "fedmeta/transport/grpc_channel.h"
#include "fedmeta/transport/retry_hint.h"

namespace fedmeta {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr std::array kUnary = {"Join", "Next", "Send", "UploadStatus"};

/// A member of the federation that sends what it likes.
class HostileTest : public TransportTest {
 protected:
  void Dial(const TransportLimits& limits = {}) {
    StartServer(limits);
    auto target = ParseDialTarget(Address(server_->port()));
    ASSERT_TRUE(target.ok());
    stub_ = std::make_unique<grpc::GenericStub>(
        MakeChannel(target.value(), Fixed("spiffe://heart/client/site-1")));
  }
  static grpc::ByteBuffer Raw(const std::string& bytes) {
    const grpc::Slice slice(bytes);
    return {&slice, 1};
  }
  /// One request, the server's status.
  grpc::Status Call(const std::string& method, const std::string& bytes,
                    grpc::ClientContext* context = nullptr) {
    return Stream(method, {bytes}, context);
  }
  /// Sends all messages, then half-closes; reads to the end.
  grpc::Status Stream(const std::string& method, const std::vector<std::string>& messages,
                      grpc::ClientContext* context = nullptr) {
    grpc::ClientContext own;
    if (context == nullptr) context = &own;
    grpc::CompletionQueue queue;
    const auto stream = stub_->PrepareCall(context, "/fedmeta.v1.Coordinator/" + method, &queue);
    const auto done = [&] {
      void* tag = nullptr;
      bool ok = false;
      return queue.Next(&tag, &ok) && ok;
    };
    stream->StartCall(nullptr);
    bool open = done();
    for (std::size_t i = 0; open && i < messages.size(); ++i) {
      stream->Write(Raw(messages[i]), nullptr);
      open = done();
    }
    if (open) {
      stream->WritesDone(nullptr);
      open = done();
    }
    grpc::ByteBuffer answer;
    for (bool more = true; more;) {
      stream->Read(&answer, nullptr);
      more = done();
    }
    grpc::Status status;
    stream->Finish(&status, nullptr);
    (void)done();
    queue.Shutdown();
    while (done()) {
    }
    return status;
  }
  void ExpectServerUnaffected() {
    const auto welcome = Link()->Join({}, {});
    EXPECT_TRUE(welcome.ok()) << MessageOf(welcome);
  }

  std::unique_ptr<grpc::GenericStub> stub_;
};

TEST_F(HostileTest, BytesThatAreNoMessageAreAnInvalidArgument) {
  Dial();
  const std::string bytes(100, '\xff');
  for (const char* method : {"Join", "Next", "Send", "UploadStatus", "Download", "Upload"}) {
    const grpc::Status status = Call(method, bytes);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_THAT(status.error_message(), HasSubstr("not a message of type fedmeta.v1.")) << method;
  }
  EXPECT_EQ(endpoint_.calls("join site-1") + endpoint_.calls("next") + endpoint_.calls("upload"),
            0);
  ExpectServerUnaffected();
}

TEST_F(HostileTest, RandomAndTruncatedMessagesNeverHurt) {
  Dial({.calls_per_second = 1'000'000});
  Rng rng({.seed = 11, .purpose = "hostile", .client = "site-1"});
  v1::ClientHello hello;
  (*hello.mutable_data())["heart"] = v1::ROLE_TRAIN;
  hello.mutable_version()->set_program(std::string(200, 'x'));
  const std::string whole = hello.SerializeAsString();
  for (int i = 0; i < 150; ++i) {
    std::string bytes = i % 2 == 0 ? whole.substr(0, rng.Below(whole.size())) : whole;
    for (int flips = 0; flips < 4 && !bytes.empty(); ++flips)
      bytes[rng.Below(bytes.size())] = static_cast<char>(rng.Below(256));
    for (const char* method : kUnary) {
      // A mutated message may be a valid one: what counts is that an answer comes.
      EXPECT_THAT(Call(method, bytes).error_code(),
                  AnyOf(grpc::StatusCode::OK, grpc::StatusCode::INVALID_ARGUMENT));
    }
    EXPECT_FALSE(Call("Download", bytes).ok());
    EXPECT_FALSE(Stream("Upload", {bytes, bytes}).ok());
  }
  endpoint_.WaitForOpenSinks(0);
  ExpectServerUnaffected();
}

TEST_F(HostileTest, EmptyBodiesAreAnInvalidArgument) {
  Dial();
  EXPECT_EQ(Call("Send", "").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Call("Upload", "").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Stream("Upload", {}).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Call("Download", "").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  ExpectServerUnaffected();
}

TEST_F(HostileTest, BodiesOfALaterVersionAreAnInvalidArgument) {
  Dial();
  const std::string unknown_field_15("\x7a\x01x", 3);
  EXPECT_EQ(Call("Send", unknown_field_15).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Call("Upload", unknown_field_15).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(HostileTest, UnknownMethodsAreUnimplemented) {
  Dial();
  EXPECT_EQ(Call("Delete", "").error_code(), grpc::StatusCode::UNIMPLEMENTED);
  ExpectServerUnaffected();
}

TEST_F(HostileTest, AMessageAboveTheBoundIsRefused) {
  Dial();
  for (const char* method : {"Join", "Upload"}) {
    EXPECT_EQ(Call(method, std::string(3'000'000, '\x7a')).error_code(),
              grpc::StatusCode::RESOURCE_EXHAUSTED)
        << method;
  }
  ExpectServerUnaffected();
}

TEST_F(HostileTest, AnEndlessUploadIsEndedAtItsSize) {
  Dial();
  v1::UploadPiece piece;
  *piece.mutable_header() = Header(MakeContent(1000));
  std::vector<std::string> messages = {piece.SerializeAsString()};
  piece.set_data(std::string(900, 'x'));
  messages.resize(1000, piece.SerializeAsString());
  EXPECT_EQ(Stream("Upload", messages).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  endpoint_.WaitForOpenSinks(0);
  ExpectServerUnaffected();
}

TEST_F(HostileTest, CallsBeyondTheRateAreToldToComeBack) {
  Dial({.calls_per_second = 1});
  v1::NextRequest next;
  EXPECT_TRUE(Call("Next", next.SerializeAsString()).ok());
  EXPECT_TRUE(Call("Next", next.SerializeAsString()).ok());  // two seconds' worth
  grpc::ClientContext context;
  grpc::Status status = Call("Next", next.SerializeAsString(), &context);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("limits.calls_per_second: site-1"));
  EXPECT_EQ(context.GetServerTrailingMetadata().count(kRetryHint), 1U);
  // Our own client waits and gets through; so does everyone else meanwhile.
  EXPECT_TRUE(
      Link(Address(server_->port()), Fixed("spiffe://heart/client/site-2"))->Join({}, {}).ok());
  EXPECT_TRUE(Link()->Join({}, {}).ok());
}

TEST_F(HostileTest, OneClientHasFewStreamsAtATime) {
  Dial({.streams_per_client = 1});
  endpoint_.TakeSlot();
  const Bytes content = MakeContent(1000);
  const auto link = Link();
  std::stop_source stop;
  std::jthread waiting([&] { (void)link->Upload(Header(content), content, stop.get_token()); });
  endpoint_.WaitForUploads(1);
  EXPECT_EQ(Call("Upload", "").error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  stop.request_stop();
}

TEST_F(HostileTest, ARestartedClientIsAnnouncedAsGone) {
  Dial();
  {
    const auto first = Link();
    ASSERT_TRUE(first->Join({}, {}).ok());
    const int gone = endpoint_.calls("gone site-1");
    ASSERT_TRUE(Link()->Join({}, {}).ok());
    EXPECT_EQ(endpoint_.calls("gone site-1"), gone);
  }
  // Both links are gone; the server hears of it within moments.
  const int before = endpoint_.calls("gone site-1");
  while (endpoint_.calls("gone site-1") == before) EXPECT_TRUE(Link()->Join({}, {}).ok());
}

}  // namespace
}  // namespace fedmeta
