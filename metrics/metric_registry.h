#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fedmeta {

/// A sum that only grows. Thread-safe.
class Counter {
 public:
  void Add(double by = 1) { value_.fetch_add(by, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// A figure that goes up and down. Thread-safe.
class Gauge {
 public:
  void Set(double value) { value_.store(value, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// How often values fell below bounds. Thread-safe.
class Histogram {
 public:
  /// Upper bounds, inclusive, ascending.
  explicit Histogram(std::vector<double> bounds);
  void Observe(double value);

  struct Sample {
    std::vector<std::pair<double, std::uint64_t>> cumulative;  ///< bound, values at or below it
    std::uint64_t count = 0;
    double sum = 0;
  };
  Sample sample() const;

 private:
  const std::vector<double> bounds_;
  mutable std::mutex mutex_;
  std::vector<std::uint64_t> counts_;  // one more than bounds: above the last
  double sum_ = 0;
};

/// A label and every value that it can take. A label is never free text: With() answers a value
/// that is not listed with the series "other".
struct MetricLabel {
  std::string name = {};  ///< empty: the metric has no label and one series
  std::vector<std::string> values = {};
};

/// Label "code": how a call ended, by ErrorCodeName, and `further` values.
MetricLabel CodeLabel(std::initializer_list<std::string> further = {});

/// The series of one metric, one a label value; all are there from the start, so that a rate over
/// the first increase is right.
template <typename Metric>
class MetricFamily {
 public:
  template <typename Make>
  MetricFamily(const MetricLabel& label, Make make) {
    if (label.name.empty()) {
      series_.emplace("", make());
      return;
    }
    for (const std::string& value : label.values) series_.emplace(value, make());
    series_.emplace(kOther, make());
  }
  Metric& With(std::string_view value = {}) {
    const auto found = series_.find(value);
    return found != series_.end() ? *found->second : *series_.find(kOther)->second;
  }
  const std::map<std::string, std::unique_ptr<Metric>, std::less<>>& series() const {
    return series_;
  }
  static constexpr std::string_view kOther = "other";

 private:
  std::map<std::string, std::unique_ptr<Metric>, std::less<>> series_;  // never changes
};

/// All metrics of a process, shown in Prometheus' text format 0.0.4. Metrics are added while the
/// process starts and never go; the references stay good as long as the registry. Feeding and
/// exposing are thread-safe and cheap (an atomic addition; a lock for histograms). Names and labels
/// are the program's own: a malformed or repeated name is a programming error (CHECK).
class MetricRegistry {
 public:
  MetricRegistry();
  ~MetricRegistry();
  MetricRegistry(const MetricRegistry&) = delete;
  MetricRegistry& operator=(const MetricRegistry&) = delete;

  MetricFamily<Counter>& AddCounter(const std::string& name, const std::string& help,
                                    const MetricLabel& label = {});
  MetricFamily<Gauge>& AddGauge(const std::string& name, const std::string& help,
                                const MetricLabel& label = {});
  MetricFamily<Histogram>& AddHistogram(const std::string& name, const std::string& help,
                                        std::vector<double> bounds, const MetricLabel& label = {});

  /// Figures that someone else knows, asked for at each scrape, on the server's thread: by label
  /// value, of which only the listed ones are shown; without a label under "". Whatever `read`
  /// borrows outlives the registry's last Expose().
  using Reading = std::map<std::string, double, std::less<>>;
  void AddReadGauge(const std::string& name, const std::string& help, const MetricLabel& label,
                    std::function<Reading()> read);
  void AddReadCounter(const std::string& name, const std::string& help,
                      std::function<double()> read);

  std::string Expose() const;

 private:
  struct Entry;
  Entry& Add(const std::string& name, const std::string& help, const MetricLabel& label);

  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Entry>> entries_;
};

}  // namespace fedmeta
