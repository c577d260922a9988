// What it takes to make a round durable: attempt begun, state and moments put, round committed.
//   store-commit --parameters N [--moments 2] [--durability power] [--seconds 5] [--folder DIR]
// The floor: the same bytes written to one new file (and synced, with --durability power), in turn
// with the rounds. Medians; prints one JSON line.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

#include "fedmeta/coordinator/round_store.h"
#include "fedmeta/core/file_descriptor.h"
#include "fedmeta/v1/round.pb.h"

namespace {

using namespace fedmeta;
using Clock = std::chrono::steady_clock;

double MsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

RoundPlan PlanOf(const RoundKey& key, const std::optional<RoundKey>& parent) {
  v1::RoundPlan message;
  *message.mutable_key() = ToMessage(key);
  if (parent) *message.mutable_parent() = ToMessage(*parent);
  message.set_assignment_hash(Digest::Of("assignment").bytes());
  message.set_assignment_size(1);
  message.set_state_hash(Digest::Of("state").bytes());
  message.set_state_coordinates(1);
  message.set_maximum_weight(1);
  message.mutable_train();
  return RoundPlan::Create(message).value();
}

void Floor(const std::filesystem::path& path, const Bytes& bytes, bool sync) {
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const Status status = WriteAll(file.get(), bytes, path);
  FEDMETA_CHECK(status.ok() && (!sync || ::fsync(file.get()) == 0));
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app("Measures the commit of a round.");
  std::size_t parameters = 10'000;
  std::size_t moments = 2;
  std::string durability = "power";
  double seconds = 5;
  std::filesystem::path parent = std::filesystem::temp_directory_path();
  app.add_option("--parameters", parameters)->required();
  app.add_option("--moments", moments, "values a parameter that the optimiser keeps");
  app.add_option("--durability", durability)->check(CLI::IsMember({"process", "power"}));
  app.add_option("--seconds", seconds);
  app.add_option("--folder", parent, "on the disk to measure");
  CLI11_PARSE(app, count, arguments);

  std::string name = (parent / "fedmeta-store-XXXXXX").string();
  const std::filesystem::path folder = ::mkdtemp(name.data());
  const bool power = durability == "power";
  auto store =
      OpenSqliteStore(folder / "store.db", power ? Durability::kPower : Durability::kProcess)
          .value();
  const Lease lease = store->Acquire(ExperimentId("bench")).value();

  Bytes state(4 * parameters), optimizer(4 * parameters * moments);
  Bytes both(state.size() + optimizer.size());
  std::vector<double> begin_ms, commit_ms, floor_ms;
  RoundKey key{.experiment = ExperimentId("bench/leg"),
               .purpose = Purpose::kTrain,
               .round = 0,
               .attempt = 1};
  std::optional<RoundKey> last;
  const std::string outcome(500, 'x');
  for (const Clock::time_point start = Clock::now();
       MsSince(start) < 1000 * seconds || begin_ms.size() < 3;) {
    ++key.round;
    // Another content each round, as in life.
    for (Bytes* const bytes : {&state, &optimizer, &both}) {
      for (std::size_t i = 0; i + 8 <= bytes->size(); i += 512)
        std::memcpy(bytes->data() + i, &key.round, 8);
    }
    const RoundPlan plan = PlanOf(key, last);
    Clock::time_point at = Clock::now();
    FEDMETA_CHECK(store->BeginAttempt(lease, plan).ok());
    begin_ms.push_back(MsSince(at));
    at = Clock::now();
    const CommittedRound round{.key = key,
                               .state = store->PutBlob(state).value(),
                               .optimizer_state = store->PutBlob(optimizer).value(),
                               .client_states = {}};
    FEDMETA_CHECK(store->CommitRound(lease, plan, round, outcome).ok());
    commit_ms.push_back(MsSince(at));
    last = key;
    store->Tidy();
    at = Clock::now();
    Floor(folder / "floor", both, power);
    floor_ms.push_back(MsSince(at));
    std::filesystem::remove(folder / "floor");  // ext4 writes at once what replaces a content
  }
  store.reset();
  std::filesystem::remove_all(folder);
  std::printf(
      "{\"parameters\": %zu, \"bytes\": %zu, \"rounds\": %zu, \"begin_ms\": %.4f, \"commit_ms\": "
      "%.4f, \"floor_ms\": %.4f}\n",
      parameters, both.size(), commit_ms.size(), Median(begin_ms), Median(commit_ms),
      Median(floor_ms));
  return 0;
}
