#include "fake_endpoint.h"

#include <utility>

#include "fedmeta/core/rng.h"

namespace fedmeta {

class FakeSink final : public UploadSink {
 public:
  FakeSink(FakeEndpoint& endpoint, v1::UploadHeader header)
      : endpoint_(endpoint), header_(std::move(header)) {
    ++endpoint_.open_sinks_;
    Staged().bytes.resize(header_.offset());
  }
  ~FakeSink() override {
    const std::lock_guard lock(endpoint_.mutex_);
    --endpoint_.open_sinks_;
    endpoint_.changed_.notify_all();
  }
  std::optional<v1::UploadPosition> already() const override {
    const std::lock_guard lock(endpoint_.mutex_);
    return endpoint_.known_upload_;
  }
  Status Write(std::span<const std::byte> data) override {
    const std::lock_guard lock(endpoint_.mutex_);
    Bytes& bytes = Staged().bytes;
    if (bytes.size() + data.size() > header_.size())
      return Error(ErrorCode::kResourceExhausted, "longer than announced");
    bytes.insert(bytes.end(), data.begin(), data.end());
    endpoint_.received_ += data.size();
    endpoint_.changed_.notify_all();
    return {};
  }
  void Finish(Done<v1::UploadPosition> done) override {
    v1::UploadPosition position;
    {
      const std::lock_guard lock(endpoint_.mutex_);
      FakeEndpoint::Staged& staged = Staged();
      if (Digest::Of(staged.bytes).bytes() != header_.sha256()) {
        staged.bytes.clear();
      } else {
        staged.complete = true;
      }
      position.set_received(staged.bytes.size());
      position.set_complete(staged.complete);
    }
    if (!position.complete()) return done(Error(ErrorCode::kDataLoss, "wrong digest"));
    done(position);
  }

 private:
  FakeEndpoint::Staged& Staged() { return endpoint_.uploads_[header_.key().experiment()]; }
  FakeEndpoint& endpoint_;
  const v1::UploadHeader header_;
};

void FakeEndpoint::Join(const ClientId& client, const v1::ClientHello&, Done<v1::Welcome> done) {
  std::optional<ErrorCode> error;
  {
    const std::lock_guard lock(mutex_);
    Count("join " + client.value());
    error = join_error_;
  }
  if (error) return done(Error(*error, "as the test wants"));
  v1::Welcome welcome;
  welcome.set_session_id(7);
  welcome.set_poll_ms(60'000);
  done(welcome);
}

void FakeEndpoint::Next(const ClientId&, const v1::NextRequest&, Done<v1::Instruction> done) {
  std::unique_lock lock(mutex_);
  Count("next");
  if (hold_next_) return held_next_.push_back(std::move(done));
  lock.unlock();
  v1::Instruction instruction;
  instruction.mutable_idle();
  done(instruction);
}

void FakeEndpoint::Send(const ClientId&, const v1::Report& report, Done<v1::Acknowledgement> done) {
  {
    const std::lock_guard lock(mutex_);
    Count("send " + report.progress().phase());
  }
  done(v1::Acknowledgement());
}

Result<std::shared_ptr<const Bytes>> FakeEndpoint::FindBlob(const ClientId&, const Digest& digest) {
  const std::lock_guard lock(mutex_);
  Count("download");
  const auto found = blobs_.find(digest);
  if (found == blobs_.end())
    return Error(ErrorCode::kNotFound, "no plan of this client names this blob");
  if (!spoil_) return found->second;
  auto spoilt = std::make_shared<Bytes>(*found->second);
  spoilt->front() ^= std::byte{1};
  return std::shared_ptr<const Bytes>(spoilt);
}

Result<v1::UploadPosition> FakeEndpoint::UploadStatus(const ClientId&,
                                                      const v1::UploadHeader& header) {
  const std::lock_guard lock(mutex_);
  Count("upload_status");
  const Staged& staged = uploads_[header.key().experiment()];
  v1::UploadPosition position;
  position.set_received(staged.bytes.size());
  position.set_complete(staged.complete);
  return position;
}

void FakeEndpoint::OpenUpload(const ClientId&, const v1::UploadHeader& header,
                              Done<std::shared_ptr<UploadSink>> done) {
  const auto open = [this, header, done = std::move(done)] {
    std::shared_ptr<UploadSink> sink;
    {
      const std::lock_guard lock(mutex_);
      upload_offset_ = header.offset();
      sink = std::make_shared<FakeSink>(*this, header);
    }
    done(sink);
  };
  std::unique_lock lock(mutex_);
  Count("upload");
  if (slot_taken_) {
    waiting_uploads_.push_back(open);
    return;
  }
  lock.unlock();
  open();
}

void FakeEndpoint::Heard(const ClientId& client) {
  const std::lock_guard lock(mutex_);
  Count("heard " + client.value());
}

void FakeEndpoint::Gone(const ClientId& client) {
  const std::lock_guard lock(mutex_);
  Count("gone " + client.value());
}

Digest FakeEndpoint::AddBlob(Bytes blob) {
  const std::lock_guard lock(mutex_);
  const Digest digest = Digest::Of(blob);
  blobs_[digest] = std::make_shared<const Bytes>(std::move(blob));
  return digest;
}

void FakeEndpoint::HoldNext() {
  const std::lock_guard lock(mutex_);
  hold_next_ = true;
}
void FakeEndpoint::ReleaseNext(const std::string& plan) {
  std::vector<Done<v1::Instruction>> held;
  {
    const std::lock_guard lock(mutex_);
    hold_next_ = false;
    held.swap(held_next_);
  }
  v1::Instruction instruction;
  instruction.set_plan(plan);
  for (const auto& done : held) done(instruction);
}
void FakeEndpoint::TakeSlot() {
  const std::lock_guard lock(mutex_);
  slot_taken_ = true;
}
void FakeEndpoint::FreeSlot() {
  std::vector<std::function<void()>> waiting;
  {
    const std::lock_guard lock(mutex_);
    slot_taken_ = false;
    waiting.swap(waiting_uploads_);
  }
  for (const auto& open : waiting) open();
}
void FakeEndpoint::AnswerJoinWith(ErrorCode code) {
  const std::lock_guard lock(mutex_);
  join_error_ = code;
}
void FakeEndpoint::AnswerUploadsWith(const v1::UploadPosition& position) {
  const std::lock_guard lock(mutex_);
  known_upload_ = position;
}
void FakeEndpoint::SpoilBlobs() {
  const std::lock_guard lock(mutex_);
  spoil_ = true;
}

template <typename Condition>
void FakeEndpoint::Wait(Condition condition) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, condition);
}
void FakeEndpoint::WaitForNext() {
  Wait([&] { return !held_next_.empty(); });
}
void FakeEndpoint::WaitForUploads(int waiting) {
  Wait([&] { return static_cast<int>(waiting_uploads_.size()) >= waiting; });
}
void FakeEndpoint::WaitForBytes(std::uint64_t received) {
  Wait([&] { return received_ >= received; });
}
void FakeEndpoint::WaitForOpenSinks(int open) {
  Wait([&] { return open_sinks_ == open; });
}

Bytes FakeEndpoint::Uploaded(const std::string& experiment) const {
  const std::lock_guard lock(mutex_);
  const auto found = uploads_.find(experiment);
  return found != uploads_.end() && found->second.complete ? found->second.bytes : Bytes();
}
int FakeEndpoint::calls(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(name);
  return found == calls_.end() ? 0 : found->second;
}
std::uint64_t FakeEndpoint::last_upload_offset() const {
  const std::lock_guard lock(mutex_);
  return upload_offset_;
}
void FakeEndpoint::Count(const std::string& name) {
  ++calls_[name];
  changed_.notify_all();
}

Bytes MakeContent(std::size_t size) {
  Rng rng({.seed = 1, .purpose = "content"});
  Bytes content(size);
  for (std::byte& byte : content) byte = static_cast<std::byte>(rng.Next());
  return content;
}

}  // namespace fedmeta
