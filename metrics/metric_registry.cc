#include "fedmeta/metrics/metric_registry.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "fedmeta/core/check.h"
#include "fedmeta/core/result.h"
#include "fedmeta/core/text.h"

namespace fedmeta {
namespace {

bool IsName(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && letter(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::string Escaped(std::string_view text, bool quotes) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\n') {
      escaped += "\\n";
      continue;
    }
    if (c == '\\' || (quotes && c == '"')) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return FormatNumber(value);
}

std::string Pair(const std::string& name, std::string_view value) {
  return name + "=\"" + Escaped(value, true) + "\"";
}

std::string Braces(const std::string& pairs) { return pairs.empty() ? "" : "{" + pairs + "}"; }

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {
  FEDMETA_CHECK(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::Observe(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  const std::lock_guard lock(mutex_);
  ++counts_[static_cast<std::size_t>(bucket)];
  sum_ += value;
}

Histogram::Sample Histogram::sample() const {
  const std::lock_guard lock(mutex_);
  Sample sample{.cumulative = {}, .count = 0, .sum = sum_};
  for (std::size_t i = 0; i < bounds_.size(); ++i) {
    sample.count += counts_[i];
    sample.cumulative.emplace_back(bounds_[i], sample.count);
  }
  sample.count += counts_.back();
  return sample;
}

MetricLabel CodeLabel(std::initializer_list<std::string> further) {
  MetricLabel label{.name = "code", .values = further};
  for (auto code = 0; code <= static_cast<int>(ErrorCode::kInternal); ++code) {
    label.values.emplace_back(ErrorCodeName(static_cast<ErrorCode>(code)));
  }
  return label;
}

struct MetricRegistry::Entry {
  struct Read {
    bool grows = false;
    std::function<Reading()> read;
  };
  std::string name, help;
  MetricLabel label;
  std::variant<std::monostate, MetricFamily<Counter>, MetricFamily<Gauge>, MetricFamily<Histogram>,
               Read>
      what;

  std::string Expose() const {
    std::string text = "# HELP " + name + " " + Escaped(help, false) + "\n# TYPE " + name + " ";
    std::visit([&](const auto& metrics) { Append(metrics, text); }, what);
    return text;
  }

 private:
  std::string Labels(std::string_view value) const {
    return label.name.empty() ? "" : Pair(label.name, value);
  }
  void Line(std::string_view value, double figure, std::string& text) const {
    text += name + Braces(Labels(value)) + " " + Number(figure) + "\n";
  }

  void Append(const std::monostate&, std::string&) const {}
  void Append(const MetricFamily<Counter>& family, std::string& text) const {
    text += "counter\n";
    for (const auto& [value, counter] : family.series()) Line(value, counter->value(), text);
  }
  void Append(const MetricFamily<Gauge>& family, std::string& text) const {
    text += "gauge\n";
    for (const auto& [value, gauge] : family.series()) Line(value, gauge->value(), text);
  }
  void Append(const MetricFamily<Histogram>& family, std::string& text) const {
    text += "histogram\n";
    for (const auto& [value, histogram] : family.series()) {
      const Histogram::Sample sample = histogram->sample();
      const std::string labels = Labels(value);
      const std::string before = labels.empty() ? "" : labels + ",";
      const auto bucket = [&](const std::string& bound, std::uint64_t count) {
        text +=
            name + "_bucket{" + before + Pair("le", bound) + "} " + std::to_string(count) + "\n";
      };
      for (const auto& [bound, count] : sample.cumulative) bucket(Number(bound), count);
      bucket("+Inf", sample.count);
      text += name + "_sum" + Braces(labels) + " " + Number(sample.sum) + "\n";
      text += name + "_count" + Braces(labels) + " " + std::to_string(sample.count) + "\n";
    }
  }
  void Append(const Read& read, std::string& text) const {
    text += read.grows ? "counter\n" : "gauge\n";
    const Reading reading = read.read();
    if (label.name.empty()) {
      for (const auto& [value, figure] : reading) Line("", figure, text);
      return;
    }
    for (const std::string& value : label.values) {
      const auto found = reading.find(value);
      if (found != reading.end()) Line(value, found->second, text);
    }
  }
};

MetricRegistry::MetricRegistry() = default;
MetricRegistry::~MetricRegistry() = default;

MetricRegistry::Entry& MetricRegistry::Add(const std::string& name, const std::string& help,
                                           const MetricLabel& label) {
  FEDMETA_CHECK(IsName(name) && (label.name.empty() || IsName(label.name)));
  const std::lock_guard lock(mutex_);
  const auto [entry, added] = entries_.try_emplace(name, std::make_unique<Entry>());
  FEDMETA_CHECK(added);
  entry->second->name = name;
  entry->second->help = help;
  entry->second->label = label;
  return *entry->second;
}

MetricFamily<Counter>& MetricRegistry::AddCounter(const std::string& name, const std::string& help,
                                                  const MetricLabel& label) {
  return Add(name, help, label).what.emplace<MetricFamily<Counter>>(label, [] {
    return std::make_unique<Counter>();
  });
}

MetricFamily<Gauge>& MetricRegistry::AddGauge(const std::string& name, const std::string& help,
                                              const MetricLabel& label) {
  return Add(name, help, label).what.emplace<MetricFamily<Gauge>>(label, [] {
    return std::make_unique<Gauge>();
  });
}

MetricFamily<Histogram>& MetricRegistry::AddHistogram(const std::string& name,
                                                      const std::string& help,
                                                      std::vector<double> bounds,
                                                      const MetricLabel& label) {
  return Add(name, help, label).what.emplace<MetricFamily<Histogram>>(label, [&] {
    return std::make_unique<Histogram>(bounds);
  });
}

void MetricRegistry::AddReadGauge(const std::string& name, const std::string& help,
                                  const MetricLabel& label, std::function<Reading()> read) {
  Add(name, help, label).what = Entry::Read{.grows = false, .read = std::move(read)};
}

void MetricRegistry::AddReadCounter(const std::string& name, const std::string& help,
                                    std::function<double()> read) {
  Add(name, help, {}).what = Entry::Read{.grows = true, .read = [read = std::move(read)] {
                                           return Reading{{"", read()}};
                                         }};
}

std::string MetricRegistry::Expose() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& [name, entry] : entries_) text += entry->Expose();
  return text;
}

}  // namespace fedmeta
