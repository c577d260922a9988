#include "fake_link.h"

#include <algorithm>
#include <condition_variable>

#include "fedmeta/protocol/version.h"

namespace fedmeta {

Result<v1::Welcome> FakeLink::Join(const v1::ClientHello& hello, std::stop_token) {
  hellos.push_back(hello);
  v1::Welcome welcome;
  *welcome.mutable_version() = OwnVersion();
  welcome.set_heartbeat_ms(10'000);
  welcome.set_session_id(hellos.size());
  welcome.set_offer(offer);
  return welcome;
}

Result<v1::Instruction> FakeLink::Next(const v1::NextRequest& request, std::stop_token stop) {
  requests.push_back(request);
  if (answers.empty() && on_held) on_held();
  if (!answers.empty()) {
    Result<v1::Instruction> answer = std::move(answers.front());
    answers.pop_front();
    return answer;
  }
  std::unique_lock lock(mutex_);
  std::condition_variable_any stopped;
  stopped.wait(lock, stop, [] { return false; });
  return Error(ErrorCode::kCancelled, "asked to stop");
}

Status FakeLink::Send(const v1::Report& report, std::stop_token) {
  const std::lock_guard lock(mutex_);
  reports_.push_back(report);
  changed_.notify_all();
  return {};
}

Status FakeLink::Download(const Digest& digest, std::span<std::byte> content, std::stop_token) {
  downloads.push_back(digest);
  const auto found = blobs_.find(digest);
  if (found == blobs_.end()) return Error(ErrorCode::kNotFound, "no such blob");
  if (found->second.size() != content.size()) return Error(ErrorCode::kDataLoss, "another size");
  std::ranges::copy(found->second, content.begin());
  return {};
}

Status FakeLink::Upload(const v1::UploadHeader& header, std::span<const std::byte> payload,
                        std::stop_token stop) {
  upload_stop_ = stop;
  if (on_upload) FEDMETA_RETURN_IF_ERROR(on_upload(header));
  uploads.push_back({header, Bytes(payload.begin(), payload.end())});
  return {};
}

Digest FakeLink::AddBlob(std::span<const std::byte> blob) {
  const Digest digest = Digest::Of(blob);
  blobs_[digest] = Bytes(blob.begin(), blob.end());
  return digest;
}

void FakeLink::SayPlan(const std::string& bytes) {
  v1::Instruction instruction;
  instruction.set_plan(bytes);
  answers.emplace_back(instruction);
}

void FakeLink::SayClosed(const v1::Closed& closed) {
  v1::Instruction instruction;
  *instruction.mutable_closed() = closed;
  answers.emplace_back(instruction);
}

void FakeLink::SayAllDone() {
  v1::Closed closed;
  closed.set_all_done(true);
  SayClosed(closed);
}

std::vector<v1::Report> FakeLink::failures() const {
  const std::lock_guard lock(mutex_);
  std::vector<v1::Report> failures;
  std::ranges::copy_if(reports_, std::back_inserter(failures),
                       [](const v1::Report& report) { return report.has_failed(); });
  return failures;
}

void FakeLink::WaitForReady() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] {
    return std::ranges::any_of(reports_,
                               [](const v1::Report& report) { return report.has_ready(); });
  });
}

void FakeLink::WaitForStop() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, upload_stop_, [] { return false; });
}

std::vector<v1::Report> FakeLink::declined() const {
  const std::lock_guard lock(mutex_);
  std::vector<v1::Report> declined;
  std::ranges::copy_if(reports_, std::back_inserter(declined),
                       [](const v1::Report& report) { return report.has_declined(); });
  return declined;
}

}  // namespace fedmeta
