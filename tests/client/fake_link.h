#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "fedmeta/core/bytes.h"
#include "fedmeta/transport/coordinator_link.h"

namespace fedmeta {

/// A coordinator in the same process: says what the test queued, keeps what it is sent.
/// Thread-safe; the test reads its members once the runner is done.
class FakeLink final : public CoordinatorLink {
 public:
  struct Uploaded {
    v1::UploadHeader header;
    Bytes payload;
  };

  Result<v1::Welcome> Join(const v1::ClientHello& hello, std::stop_token stop) override;
  /// The next of `answers`; once they are spent, held until `stop`.
  Result<v1::Instruction> Next(const v1::NextRequest& request, std::stop_token stop) override;
  Status Send(const v1::Report& report, std::stop_token stop) override;
  Status Download(const Digest& digest, std::span<std::byte> content,
                  std::stop_token stop) override;
  Status Upload(const v1::UploadHeader& header, std::span<const std::byte> payload,
                std::stop_token stop) override;

  Digest AddBlob(std::span<const std::byte> blob);
  void SayPlan(const std::string& bytes);
  void SayClosed(const v1::Closed& closed);
  void SayAllDone();
  /// Reports of failure; heartbeats are left out.
  std::vector<v1::Report> failures() const;
  /// Blocks until the client has said that it takes part.
  void WaitForReady();
  /// Within on_upload: blocks until the upload is asked to stop.
  void WaitForStop();
  /// What the client declined.
  std::vector<v1::Report> declined() const;

  std::string offer;  ///< what Join offers
  std::deque<Result<v1::Instruction>> answers;
  std::vector<v1::ClientHello> hellos;
  std::vector<v1::NextRequest> requests;
  std::vector<Uploaded> uploads;
  std::vector<Digest> downloads;
  std::function<Status(const v1::UploadHeader&)> on_upload;  ///< null: accepted
  std::function<void()> on_held;                             ///< when Next begins to wait

 private:
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::stop_token upload_stop_;
  std::vector<v1::Report> reports_;
  std::map<Digest, Bytes> blobs_;
};

}  // namespace fedmeta
