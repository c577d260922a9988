#include "fedmeta/core/worker_pool.h"

#include <atomic>
#include <barrier>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace fedmeta {
namespace {

TEST(WorkerPoolTest, RunsEveryIndexOnce) {
  WorkerPool pool(4);
  std::vector<std::atomic<int>> runs(1000);
  pool.ForEach(runs.size(), [&](std::size_t index, std::size_t worker) {
    ASSERT_LT(worker, pool.size());
    ++runs[index];
  });
  for (const auto& count : runs) EXPECT_EQ(count, 1);
}

TEST(WorkerPoolTest, NothingToDoReturnsAtOnce) {
  WorkerPool pool(2);
  pool.ForEach(0, [](std::size_t, std::size_t) { FAIL(); });
}

TEST(WorkerPoolTest, ZeroThreadsMeansOneACore) { EXPECT_GE(WorkerPool(0).size(), 1U); }

TEST(WorkerPoolTest, WorksOnAsManyThreadsAsItHas) {
  WorkerPool pool(3);
  std::barrier meet(3);  // ends only if three bodies run at once
  std::vector<std::atomic<int>> workers(3);
  pool.ForEach(3, [&](std::size_t, std::size_t worker) {
    meet.arrive_and_wait();
    ++workers[worker];
  });
  for (const auto& count : workers) EXPECT_EQ(count, 1);
}

TEST(WorkerPoolTest, RethrowsTheExceptionOfTheLowestIndexAfterAllRan) {
  WorkerPool pool(4);
  std::atomic<int> runs = 0;
  std::string caught;
  try {
    pool.ForEach(100, [&](std::size_t index, std::size_t) {
      ++runs;
      if (index % 10 == 3) throw std::runtime_error(std::to_string(index));
    });
  } catch (const std::runtime_error& error) {
    caught = error.what();
  }
  EXPECT_EQ(caught, "3");
  EXPECT_EQ(runs, 100);
}

TEST(WorkerPoolTest, WorksOnAfterAnException) {
  WorkerPool pool(2);
  EXPECT_THROW(pool.ForEach(1, [](std::size_t, std::size_t) { throw std::runtime_error("x"); }),
               std::runtime_error);
  std::atomic<int> runs = 0;
  for (int i = 0; i < 100; ++i) pool.ForEach(3, [&](std::size_t, std::size_t) { ++runs; });
  EXPECT_EQ(runs, 300);
}

TEST(WorkerPoolTest, EachWorkerStartsWithItsPreparation) {
  std::atomic<int> starts = 0;
  {
    WorkerPool pool(3, [&] { ++starts; });
  }
  EXPECT_EQ(starts, 3);
}

TEST(WorkerPoolTest, CallersTakeTurns) {
  WorkerPool pool(2);
  std::atomic<int> lost = 0;
  const auto call = [&] {
    for (int i = 0; i < 200; ++i) {
      std::atomic<int> runs = 0;
      pool.ForEach(5, [&](std::size_t, std::size_t) { ++runs; });
      if (runs != 5) ++lost;
    }
  };
  std::thread other(call);
  call();
  other.join();
  EXPECT_EQ(lost, 0);
}

}  // namespace
}  // namespace fedmeta
