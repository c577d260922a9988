#include "fedmeta/metrics/metric_registry.h"

#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/metrics/process_metrics.h"

namespace fedmeta {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

TEST(MetricRegistryTest, ShowsEverySeriesFromTheStart) {
  MetricRegistry registry;
  auto& family = registry.AddCounter("joins_total", "Joins.", {"code", {"ok", "refused"}});
  family.With("ok").Add();
  family.With("ok").Add(2);
  EXPECT_EQ(registry.Expose(),
            "# HELP joins_total Joins.\n"
            "# TYPE joins_total counter\n"
            "joins_total{code=\"ok\"} 3\n"
            "joins_total{code=\"other\"} 0\n"
            "joins_total{code=\"refused\"} 0\n");
}

TEST(MetricRegistryTest, AValueThatIsNotListedNeverBecomesALabel) {
  MetricRegistry registry;
  registry.AddCounter("dropped_total", "Dropped.", {"phase", {"lost"}})
      .With("patient 4711 is ill")
      .Add();
  EXPECT_THAT(registry.Expose(), HasSubstr("dropped_total{phase=\"other\"} 1\n"));
  EXPECT_THAT(registry.Expose(), Not(HasSubstr("4711")));
  registry.AddReadGauge("clients", "Clients.", {"role", {"train"}}, [] {
    return MetricRegistry::Reading{{"train", 2}, {"patient 4711", 1}};
  });
  EXPECT_THAT(registry.Expose(), HasSubstr("clients{role=\"train\"} 2\n"));
  EXPECT_THAT(registry.Expose(), Not(HasSubstr("4711")));
}

TEST(MetricRegistryTest, HistogramBucketsAreCumulativeAndIncludeTheirBound) {
  MetricRegistry registry;
  Histogram& histogram = registry.AddHistogram("round_seconds", "Rounds.", {0.5, 1}).With();
  for (const double value : {0.5, 0.75, 3.0}) histogram.Observe(value);
  EXPECT_EQ(registry.Expose(),
            "# HELP round_seconds Rounds.\n"
            "# TYPE round_seconds histogram\n"
            "round_seconds_bucket{le=\"0.5\"} 1\n"
            "round_seconds_bucket{le=\"1\"} 2\n"
            "round_seconds_bucket{le=\"+Inf\"} 3\n"
            "round_seconds_sum 4.25\n"
            "round_seconds_count 3\n");
}

TEST(MetricRegistryTest, LabelsStandBeforeTheBoundOfABucket) {
  MetricRegistry registry;
  registry.AddHistogram("part_seconds", "Parts.", {1}, {"part", {"add"}}).With("add").Observe(2);
  EXPECT_THAT(registry.Expose(), HasSubstr("part_seconds_bucket{part=\"add\",le=\"1\"} 0\n"
                                           "part_seconds_bucket{part=\"add\",le=\"+Inf\"} 1\n"
                                           "part_seconds_sum{part=\"add\"} 2\n"
                                           "part_seconds_count{part=\"add\"} 1\n"));
}

TEST(MetricRegistryTest, EscapesHelpAndLabelValues) {
  MetricRegistry registry;
  registry.AddGauge("g", "a\\b\nc \"d\"", {"l", {"x\"\\\n"}}).With("x\"\\\n").Set(1);
  EXPECT_THAT(registry.Expose(), HasSubstr("# HELP g a\\\\b\\nc \"d\"\n"));
  EXPECT_THAT(registry.Expose(), HasSubstr("g{l=\"x\\\"\\\\\\n\"} 1\n"));
}

TEST(MetricRegistryTest, NoNumberIsShownAsPrometheusReadsIt) {
  MetricRegistry registry;
  auto& gauge = registry.AddGauge("g", "G.").With();
  gauge.Set(std::numeric_limits<double>::infinity());
  EXPECT_THAT(registry.Expose(), HasSubstr("g +Inf\n"));
  gauge.Set(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(registry.Expose(), HasSubstr("g NaN\n"));
  gauge.Set(1764027305.25);
  EXPECT_THAT(registry.Expose(), HasSubstr("g 1764027305.25\n"));
}

TEST(MetricRegistryTest, NothingIsLostBetweenThreads) {
  MetricRegistry registry;
  Counter& counter = registry.AddCounter("c_total", "C.").With();
  Histogram& histogram = registry.AddHistogram("h", "H.", {1}).With();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) {
          counter.Add();
          histogram.Observe(2);
          if (i % 100 == 0) {
            EXPECT_THAT(registry.Expose(), HasSubstr("c_total"));
          }
        }
      });
    }
  }
  EXPECT_EQ(counter.value(), 4000);
  EXPECT_EQ(histogram.sample().count, 4000U);
  EXPECT_EQ(histogram.sample().sum, 8000);
}

TEST(MetricRegistryTest, RepeatedAndMalformedNamesAreProgrammingErrors) {
  MetricRegistry registry;
  registry.AddGauge("g", "G.");
  EXPECT_DEATH(registry.AddCounter("g", "Again."), "");
  EXPECT_DEATH(registry.AddCounter("no name", "Spaces."), "");
}

double ValueOf(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("\n" + name + " ");
  return at == text.npos ? -1 : std::stod(text.substr(at + name.size() + 2));
}

TEST(ProcessMetricsTest, DescribeThisProcess) {
  MetricRegistry registry;
  AddProcessMetrics(registry, "0.1.0", "1.0");
  const std::string text = registry.Expose();
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  EXPECT_GT(ValueOf(text, "process_resident_memory_bytes"), 1e6);
  EXPECT_LT(ValueOf(text, "process_resident_memory_bytes"), 1e10);
  EXPECT_GE(ValueOf(text, "process_open_fds"), 3);
  EXPECT_GE(ValueOf(text, "process_max_fds"), ValueOf(text, "process_open_fds"));
  EXPECT_EQ(ValueOf(text, "process_threads"), 1);
  EXPECT_GT(ValueOf(text, "process_cpu_seconds_total"), 0);
  EXPECT_GT(ValueOf(text, "process_start_time_seconds"), now - 3600);
  EXPECT_LE(ValueOf(text, "process_start_time_seconds"), now + 2);
  EXPECT_THAT(text, HasSubstr("fedmeta_build_info{version=\"0.1.0, protocol 1.0\"} 1\n"));
}

}  // namespace
}  // namespace fedmeta
