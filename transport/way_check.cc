#include "fedmeta/transport/way_check.h"

#include <cmath>
#include <string>
#include <utility>

#include <grpcpp/client_context.h>

#include "fedmeta/transport/connection_probe.h"
#include "fedmeta/transport/dial_target.h"
#include "fedmeta/transport/grpc_channel.h"
#include "fedmeta/transport/grpc_status.h"
#include "fedmeta/transport/time_header.h"
#include "fedmeta/v1/service.grpc.pb.h"

namespace fedmeta {
namespace {

constexpr std::chrono::seconds kCallTimeout{10};
// A certificate is dated five minutes back; beyond that a fresh one is "not yet valid" elsewhere.
constexpr Duration kClocksMayDiffer = std::chrono::minutes(5);

std::int64_t CoordinatorTime(const grpc::ClientContext& context) {
  const auto& trailing = context.GetServerTrailingMetadata();
  const auto found = trailing.find(kTimeHeader);
  if (found == trailing.end()) return 0;
  return std::atoll(std::string(found->second.data(), found->second.size()).c_str());
}

Hop ClockHop(std::int64_t theirs, WallTime before, WallTime after) {
  // It looked at its clock somewhere between the two.
  const WallTime middle = before + (after - before) / 2;
  const Duration ahead = WallTime(Duration(theirs)) - middle;
  const std::string by = FormatDuration(std::abs(static_cast<double>(ahead.count())) / 1000);
  const bool passed = ahead < kClocksMayDiffer && ahead > -kClocksMayDiffer;
  return {"clock", passed,
          "the coordinator's clock is " + by + (ahead.count() < 0 ? " behind" : " ahead") +
              (passed ? "" : "; certificates of either side may read as expired: set the clocks")};
}

}  // namespace

Result<std::vector<Hop>> CheckWay(const v1::CoordinatorAddress& address,
                                  std::shared_ptr<const IdentitySource> identity,
                                  const Clock& clock, std::stop_token stop) {
  FEDMETA_ASSIGN_OR_RETURN(const DialTarget target, ParseDialTarget(address));
  std::vector<Hop> hops;
  if (!ProbeConnection(target, *identity, std::move(stop), &hops).ok()) return hops;
  const auto stub = v1::Coordinator::NewStub(MakeChannel(target, std::move(identity)));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallTimeout);
  v1::UploadPosition position;
  const WallTime before = clock.Wall();
  // About no upload at all: what admits the call answers that there is none.
  const grpc::Status status = stub->UploadStatus(&context, v1::UploadHeader(), &position);
  const Error error = FromGrpc(status);
  const std::int64_t theirs = CoordinatorTime(context);
  if (theirs == 0) {
    hops.push_back({"grpc", false,
                    "no gRPC answer: " + error.message() +
                        "; is something between that does not speak HTTP/2?"});
    return hops;
  }
  hops.push_back({"grpc", true, "the coordinator answers calls"});
  const bool refused = !status.ok() && (error.code() == ErrorCode::kPermissionDenied ||
                                        error.code() == ErrorCode::kUnauthenticated ||
                                        error.code() == ErrorCode::kUnavailable);
  hops.push_back(
      {"member", !refused, refused ? error.message() : "the coordinator admits this site"});
  hops.push_back(ClockHop(theirs, before, clock.Wall()));
  return hops;
}

}  // namespace fedmeta
