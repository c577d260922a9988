#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "fedmeta/transport/coordinator_endpoint.h"

namespace fedmeta {

/// A coordinator that keeps blobs and uploads in memory and does as the test says. Thread-safe.
class FakeEndpoint : public CoordinatorEndpoint {
 public:
  void Join(const ClientId& client, const v1::ClientHello& hello, Done<v1::Welcome> done) override;
  void Next(const ClientId& client, const v1::NextRequest& request,
            Done<v1::Instruction> done) override;
  void Send(const ClientId& client, const v1::Report& report,
            Done<v1::Acknowledgement> done) override;
  Result<std::shared_ptr<const Bytes>> FindBlob(const ClientId& client,
                                                const Digest& digest) override;
  Result<v1::UploadPosition> UploadStatus(const ClientId& client,
                                          const v1::UploadHeader& header) override;
  void OpenUpload(const ClientId& client, const v1::UploadHeader& header,
                  Done<std::shared_ptr<UploadSink>> done) override;
  void Heard(const ClientId& client) override;
  void Gone(const ClientId& client) override;

  Digest AddBlob(Bytes blob);
  /// Next is held until Release.
  void HoldNext();
  void ReleaseNext(const std::string& plan);
  /// No slot is free until FreeSlot.
  void TakeSlot();
  void FreeSlot();
  void AnswerJoinWith(ErrorCode code);
  /// Uploads are answered without their bytes.
  void AnswerUploadsWith(const v1::UploadPosition& position);
  /// Every first byte of a download is another one than the digest says.
  void SpoilBlobs();

  /// Each blocks until it is so (the test binary's own time limit is the bound).
  void WaitForNext();
  void WaitForUploads(int waiting);
  void WaitForBytes(std::uint64_t received);
  void WaitForOpenSinks(int open);

  Bytes Uploaded(const std::string& experiment) const;
  int calls(const std::string& name) const;
  std::uint64_t last_upload_offset() const;

  /// One upload, kept over its sinks.
  struct Staged {
    Bytes bytes;
    bool complete = false;
  };

 private:
  friend class FakeSink;
  template <typename Condition>
  void Wait(Condition condition);
  void Count(const std::string& name);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, int> calls_;
  std::map<Digest, std::shared_ptr<const Bytes>> blobs_;
  std::map<std::string, Staged> uploads_;
  std::vector<Done<v1::Instruction>> held_next_;
  std::vector<std::function<void()>> waiting_uploads_;
  std::optional<ErrorCode> join_error_;
  std::optional<v1::UploadPosition> known_upload_;
  std::uint64_t upload_offset_ = 0, received_ = 0;
  int open_sinks_ = 0;
  bool hold_next_ = false, slot_taken_ = false, spoil_ = false;
};

/// `size` bytes that differ from place to place.
Bytes MakeContent(std::size_t size);

}  // namespace fedmeta
