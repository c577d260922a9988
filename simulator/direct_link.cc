#include "fedmeta/simulator/direct_link.h"

#include <algorithm>
#include <future>
#include <utility>

namespace fedmeta {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

/// Calls what answers through Done, and waits for the answer: every call of a coordinator ends.
template <typename T, typename Call>
Result<T> Await(const Call& call) {
  std::promise<Result<T>> answered;
  std::future<Result<T>> answer = answered.get_future();
  call([&answered](Result<T> result) { answered.set_value(std::move(result)); });
  return answer.get();
}

/// Bytes of one value; of a message all that it holds.
std::uint64_t ScalarBytes(const Message& message, const FieldDescriptor& field) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING && !field.is_repeated()) {
    return reflection.GetString(message, &field).size();
  }
  constexpr std::uint64_t kWide = 8;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT64:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return kWide;
    case FieldDescriptor::CPPTYPE_BOOL:
      return 1;
    default:
      return kWide / 2;
  }
}

class DirectLink final : public CoordinatorLink {
 public:
  DirectLink(CoordinatorEndpoint& coordinator, ClientId client, LinkAccount& account)
      : coordinator_(coordinator), client_(std::move(client)), account_(account) {}

  Result<v1::Welcome> Join(const v1::ClientHello& hello, std::stop_token) override {
    return Exchange<v1::Welcome>(
        hello, [&](Done<v1::Welcome> done) { coordinator_.Join(client_, hello, std::move(done)); });
  }
  Result<v1::Instruction> Next(const v1::NextRequest& request, std::stop_token stop) override {
    if (stop.stop_requested()) return Error(ErrorCode::kCancelled, "asked to stop");
    return Exchange<v1::Instruction>(request, [&](Done<v1::Instruction> done) {
      coordinator_.Next(client_, request, std::move(done));
    });
  }
  Status Send(const v1::Report& report, std::stop_token) override {
    const Result<v1::Acknowledgement> answer =
        Exchange<v1::Acknowledgement>(report, [&](Done<v1::Acknowledgement> done) {
          coordinator_.Send(client_, report, std::move(done));
        });
    return answer.ok() ? Status() : Status(answer.error());
  }
  Status Download(const Digest& digest, std::span<std::byte> content, std::stop_token) override {
    FEDMETA_ASSIGN_OR_RETURN(const std::shared_ptr<const Bytes> blob,
                             coordinator_.FindBlob(client_, digest));
    if (blob->size() != content.size()) {
      return Error(ErrorCode::kDataLoss, "a blob has another size than its plan says");
    }
    std::copy(blob->begin(), blob->end(), content.begin());
    account_.Received(blob->size());
    return {};
  }
  Status Upload(const v1::UploadHeader& header, std::span<const std::byte> payload,
                std::stop_token) override {
    account_.Sent(header);
    FEDMETA_ASSIGN_OR_RETURN(
        const std::shared_ptr<UploadSink> sink,
        Await<std::shared_ptr<UploadSink>>([&](Done<std::shared_ptr<UploadSink>> done) {
          coordinator_.OpenUpload(client_, header, std::move(done));
        }));
    if (sink->already()) return {};
    FEDMETA_RETURN_IF_ERROR(sink->Write(payload));
    account_.Uploaded(header.key(), payload.size());
    const Result<v1::UploadPosition> position = Await<v1::UploadPosition>(
        [&](Done<v1::UploadPosition> done) { sink->Finish(std::move(done)); });
    return position.ok() ? Status() : Status(position.error());
  }

 private:
  template <typename T, typename Call>
  Result<T> Exchange(const Message& message, const Call& call) {
    account_.Sent(message);
    coordinator_.Heard(client_);
    Result<T> answer = Await<T>(call);
    if (answer.ok()) account_.Received(answer->ByteSizeLong());
    return answer;
  }

  CoordinatorEndpoint& coordinator_;
  const ClientId client_;
  LinkAccount& account_;
};

}  // namespace

void LinkAccount::Sent(const Message& message) {
  const std::lock_guard lock(mutex_);
  totals_.up += message.ByteSizeLong();
  AddFields(message, message.GetDescriptor()->name());
}

void LinkAccount::AddFields(const Message& message, const std::string& path) {
  std::vector<const FieldDescriptor*> fields;
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string name = path + "." + field->name();
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        AddFields(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                       : reflection.GetMessage(message, field),
                  name);
        continue;
      }
      Field& account = totals_.fields[name];
      ++account.times;
      account.bytes += ScalarBytes(message, *field);
    }
  }
}

void LinkAccount::Received(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  totals_.down += bytes;
}

void LinkAccount::Uploaded(const v1::RoundKey& key, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  totals_.up += bytes;
  totals_.uploads.push_back({.key = key, .bytes = bytes});
}

LinkAccount::Totals LinkAccount::totals() const {
  const std::lock_guard lock(mutex_);
  return totals_;
}

std::unique_ptr<CoordinatorLink> MakeDirectLink(CoordinatorEndpoint& coordinator, ClientId client,
                                                LinkAccount& account) {
  return std::make_unique<DirectLink>(coordinator, std::move(client), account);
}

}  // namespace fedmeta
