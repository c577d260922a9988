#include "fedmeta/records/report_charts.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "fedmeta/records/words.h"

namespace fedmeta {
namespace {

constexpr double kWidth = 360;

std::string At(double value) { return Fixed(value, 1); }

std::string Open(double height, const std::string& title) {
  return "<svg viewBox=\"0 0 " + At(kWidth) + " " + At(height) + "\" role=\"img\" aria-label=\"" +
         Escaped(title) + "\">";
}
std::string Line(double x1, double y1, double x2, double y2, const std::string& kind) {
  return "<line class=\"" + kind + "\" x1=\"" + At(x1) + "\" y1=\"" + At(y1) + "\" x2=\"" + At(x2) +
         "\" y2=\"" + At(y2) + "\"/>";
}
std::string Rect(double x, double y, double width, double height, const std::string& kind,
                 const std::string& tip = {}) {
  return "<rect class=\"" + kind + "\" x=\"" + At(x) + "\" y=\"" + At(y) + "\" width=\"" +
         At(std::max(width, 0.0)) + "\" height=\"" + At(std::max(height, 0.0)) + "\"" +
         (tip.empty() ? "/>" : "><title>" + Escaped(tip) + "</title></rect>");
}
/// `anchor`: start, middle, end.
std::string Label(double x, double y, const std::string& anchor, const std::string& text,
                  const std::string& kind = "t") {
  return "<text class=\"" + kind + "\" x=\"" + At(x) + "\" y=\"" + At(y) + "\" text-anchor=\"" +
         anchor + "\">" + Escaped(text) + "</text>";
}
/// A form for each colour, so that lines can be told apart without it.
std::string Marker(double x, double y, int color) {
  const std::string kind = "m k" + std::to_string(color);
  const auto path = [&](std::initializer_list<std::pair<double, double>> corners) {
    std::string points;
    for (const auto& [dx, dy] : corners) points += At(x + dx) + "," + At(y + dy) + " ";
    points.pop_back();
    return "<polygon class=\"" + kind + "\" points=\"" + points + "\"/>";
  };
  switch (color) {
    case 0:
      return "<circle class=\"" + kind + "\" cx=\"" + At(x) + "\" cy=\"" + At(y) + "\" r=\"3.4\"/>";
    case 1:
      return path({{-3, -3}, {3, -3}, {3, 3}, {-3, 3}});
    case 2:
      return path({{0, -4}, {3.8, 3}, {-3.8, 3}});
    case 3:
      return path({{0, -4.2}, {4.2, 0}, {0, 4.2}, {-4.2, 0}});
    case 4:
      return path({{0, 4}, {-3.8, -3}, {3.8, -3}});
    default:
      return path({{-1.6, -4.4}, {1.6, -4.4}, {1.6, 4.4}, {-1.6, 4.4}});
  }
}

/// Names are cut in the middle of nowhere rather than drawn over the plot.
std::string Shortened(const std::string& text, std::size_t limit) {
  if (text.size() <= limit) return text;
  std::size_t end = limit - 1;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "\u2026";
}

struct Scale {
  double low = 0, high = 1, begin = 0, end = 1;
  double operator()(double value) const {
    return high == low ? (begin + end) / 2 : begin + (value - low) / (high - low) * (end - begin);
  }
};

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void Add(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

/// As many digits as the step between ticks needs.
std::string TickText(double value, double step, bool percent) {
  const double scale = percent ? 100 : 1;
  const double digits = std::ceil(-std::log10(scale * step) - 1e-9);
  return Fixed(scale * value, static_cast<int>(std::clamp(digits, 0.0, 9.0)));
}
double StepOf(const std::vector<double>& ticks) { return ticks[1] - ticks[0]; }

/// Labels at the right end are moved apart where they would cover each other.
void MoveApart(std::vector<double>& y, double distance, double top, double bottom) {
  std::vector<std::size_t> order(y.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return y[a] < y[b]; });
  for (std::size_t i = 0; i < order.size(); ++i) {
    const double least = i == 0 ? top : y[order[i - 1]] + distance;
    y[order[i]] = std::max(y[order[i]], least);
  }
  for (std::size_t i = order.size(); i-- > 0;) {
    const double most = i + 1 == order.size() ? bottom : y[order[i + 1]] - distance;
    y[order[i]] = std::min(y[order[i]], most);
  }
}

std::string Band(const LineSeries& series, const Scale& x, const Scale& y) {
  std::string upper, lower;
  for (const LinePoint& point : series.points) {
    if (!std::isfinite(point.y)) continue;
    upper += At(x(point.x)) + "," + At(y(point.y + point.band)) + " ";
    lower = At(x(point.x)) + "," + At(y(point.y - point.band)) + " " + lower;
  }
  if (upper.empty()) return {};
  lower.pop_back();
  return "<polygon class=\"band k" + std::to_string(series.color) + "\" points=\"" + upper + lower +
         "\"/>";
}

}  // namespace

std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? ' ' : c;
    }
  }
  return escaped;
}

std::vector<double> NiceTicks(double& low, double& high, int count) {
  if (high - low < 1e-9 * std::max(1.0, std::fabs(high))) {
    const double half = std::max(std::fabs(high) * 0.1, 1e-6);
    low -= half;
    high += half;
  }
  const double raw = (high - low) / count;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  const double unit = raw / power;
  const double step = power * (unit <= 1 ? 1 : unit <= 2 ? 2 : unit <= 5 ? 5 : 10);
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  low = first * step;
  high = last * step;
  std::vector<double> ticks;
  for (double tick = first; tick <= last; ++tick) ticks.push_back(tick * step);
  return ticks;
}

std::string Draw(const LineChart& chart) {
  const double top = (chart.show_title ? 42 : 20), bottom = 190, left = 34, height = 226;
  bool named = false;
  for (const LineSeries& series : chart.series) named = named || !series.name.empty();
  const double right = named ? kWidth - 74 : kWidth - 10;
  Range xs, ys;
  for (const LineSeries& series : chart.series)
    for (const LinePoint& point : series.points) {
      if (!std::isfinite(point.y)) continue;
      xs.Add(point.x);
      ys.Add(point.y + point.band);
      ys.Add(point.y - point.band);
    }
  if (ys.empty()) return {};
  for (const ChartTick& tick : chart.x_ticks) xs.Add(tick.at);
  if (chart.percent) {
    ys.low = std::max(ys.low, 0.0);
    ys.high = std::min(ys.high, 1.0);
  }
  const std::vector<double> y_ticks = NiceTicks(ys.low, ys.high, 5);
  std::vector<ChartTick> x_ticks = chart.x_ticks;
  if (x_ticks.empty()) {
    double low = xs.low, high = xs.high;
    const std::vector<double> ticks = NiceTicks(low, high, 4);
    for (const double tick : ticks)
      if (tick >= xs.low && tick <= xs.high)
        x_ticks.push_back({tick, TickText(tick, StepOf(ticks), false)});
  }
  const double inset = chart.x_ticks.empty() ? 0 : 12;
  const Scale x{xs.low, xs.high, left + inset, right - inset}, y{ys.low, ys.high, bottom, top};

  std::string svg = Open(height, chart.title);
  if (chart.show_title) svg += Label(0, 12, "start", chart.title, "t strong");
  svg += Label(0, top - 9, "start", chart.y_title);
  for (const double tick : y_ticks) {
    svg += Line(left, y(tick), right, y(tick), "rule");
    svg += Label(left - 5, y(tick) + 4, "end", TickText(tick, StepOf(y_ticks), chart.percent));
  }
  for (const ChartTick& tick : x_ticks) svg += Label(x(tick.at), bottom + 15, "middle", tick.label);
  svg += Label((left + right) / 2, bottom + 31, "middle", chart.x_title);
  for (const LineSeries& series : chart.series) {
    const bool has_band = std::any_of(series.points.begin(), series.points.end(),
                                      [](const LinePoint& point) { return point.band > 0; });
    if (has_band) svg += Band(series, x, y);
  }
  if (chart.mark) {
    const double at = x(chart.mark->at);
    svg += Line(at, top, at, bottom, "mark");
    const bool leftwards = at > (left + right) / 2;
    svg += Label(at + (leftwards ? -4 : 4), bottom - 6, leftwards ? "end" : "start",
                 chart.mark->label, "t strong");
  }
  std::vector<double> label_y;
  for (const LineSeries& series : chart.series) {
    std::string points, markers;
    double last_y = bottom;
    for (const LinePoint& point : series.points) {
      if (!std::isfinite(point.y)) continue;
      last_y = y(point.y);
      points += At(x(point.x)) + "," + At(last_y) + " ";
      if (!series.quiet) markers += Marker(x(point.x), last_y, series.color);
    }
    if (!points.empty()) points.pop_back();
    svg += "<polyline class=\"l k" + std::to_string(series.color) + (series.quiet ? " quiet" : "") +
           "\" points=\"" + points + "\"/>" + markers;
    label_y.push_back(last_y + 4);
  }
  MoveApart(label_y, 14, top + 4, bottom + 4);
  for (std::size_t s = 0; s < chart.series.size(); ++s)
    svg += Label(right + 6, label_y[s], "start", Shortened(chart.series[s].name, 12),
                 "t strong k" + std::to_string(chart.series[s].color) + "t");
  return svg + "</svg>";
}

std::string Draw(const DumbbellChart& chart) {
  const double left = 76, right = kWidth - 14, top = 40, row = 15;
  const double bottom = top + row * static_cast<double>(chart.rows.size());
  Range xs;
  for (const DumbbellRow& entry : chart.rows) {
    xs.Add(entry.before);
    xs.Add(entry.after);
    if (entry.alone) xs.Add(*entry.alone);
  }
  if (xs.empty()) return {};
  const std::vector<double> ticks = NiceTicks(xs.low, xs.high, 5);
  const Scale x{xs.low, xs.high, left, right};
  std::string svg = Open(bottom + 8, chart.title);
  for (const double tick : ticks) {
    svg += Line(x(tick), top - 4, x(tick), bottom, "rule");
    svg += Label(x(tick), top - 10, "middle", TickText(tick, StepOf(ticks), chart.percent));
  }
  svg += Label(left, 11, "start", chart.x_title);
  for (std::size_t i = 0; i < chart.rows.size(); ++i) {
    const DumbbellRow& entry = chart.rows[i];
    const double y = top + row * (static_cast<double>(i) + 0.5);
    svg += Label(left - 8, y + 4, "end", Shortened(entry.name, 11));
    if (!std::isfinite(entry.before) || !std::isfinite(entry.after)) continue;
    svg += Line(x(entry.before), y, x(entry.after), y, "bell");
    svg += "<circle class=\"hollow\" cx=\"" + At(x(entry.before)) + "\" cy=\"" + At(y) +
           "\" r=\"3\"/>";
    if (entry.alone && std::isfinite(*entry.alone))
      svg += Line(x(*entry.alone), y - 5.5, x(*entry.alone), y + 5.5, "alone");
    svg +=
        "<circle class=\"m k0\" cx=\"" + At(x(entry.after)) + "\" cy=\"" + At(y) + "\" r=\"3.6\"/>";
  }
  return svg + "</svg>";
}

std::string Draw(const SiteGrid& grid) {
  const double left = 76, right = kWidth - 2, top = 4;
  const double row = grid.sites.size() <= 12 ? 16 : 11;
  const std::size_t columns = grid.states.empty() ? 0 : grid.states.front().size();
  if (columns == 0) return {};
  const double cell = (right - left) / static_cast<double>(columns);
  const double gap = std::min(1.0, cell * 0.15);
  const double bottom = top + row * static_cast<double>(grid.sites.size());
  std::string svg = Open(bottom + 36, grid.title);
  for (std::size_t s = 0; s < grid.sites.size(); ++s) {
    const double y = top + row * static_cast<double>(s);
    svg += Label(left - 8, y + row / 2 + 4, "end", Shortened(grid.sites[s], 11));
    for (std::size_t c = 0; c < columns; ++c) {
      const char* kinds[] = {"not-asked", "reported", "dropped", "abandoned"};
      const std::string kind = kinds[static_cast<std::size_t>(grid.states[s][c])];
      const double x = left + cell * static_cast<double>(c);
      // A dropped cell is full height, a reported one lower: they differ without colour.
      const double inset = kind == "dropped" || kind == "abandoned" ? 0.5 : row * 0.2;
      if (kind != "not-asked") svg += Rect(x, y + inset, cell - gap, row - 2 * inset, kind);
    }
  }
  svg += Label(left, bottom + 14, "start", grid.first_column);
  if (columns > 1) svg += Label(right, bottom + 14, "end", grid.last_column);
  svg += Label((left + right) / 2, bottom + 30, "middle", "round");
  return svg + "</svg>";
}

std::string Draw(const StackedBars& chart) {
  const double top = 20, bottom = 160, left = 40, right = kWidth - 4;
  Range ys;
  ys.Add(0);
  for (const std::vector<double>& bar : chart.bars) {
    double total = 0;
    for (const double part : bar) total += part;
    ys.Add(total);
  }
  const std::vector<double> ticks = NiceTicks(ys.low, ys.high, 4);
  const Scale y{ys.low, ys.high, bottom, top};
  const double width =
      (right - left) / static_cast<double>(std::max<std::size_t>(1, chart.bars.size()));
  std::string svg = Open(bottom + 36, chart.title);
  svg += Label(0, top - 9, "start", chart.y_title);
  for (const double tick : ticks) {
    svg += Line(left, y(tick), right, y(tick), "rule");
    svg += Label(left - 5, y(tick) + 4, "end", TickText(tick, StepOf(ticks), false));
  }
  for (std::size_t b = 0; b < chart.bars.size(); ++b) {
    double sum = 0;
    for (std::size_t p = 0; p < chart.bars[b].size(); ++p) {
      const double part = chart.bars[b][p];
      if (part > 0)
        svg += Rect(left + width * static_cast<double>(b), y(sum + part), width * 0.86,
                    y(sum) - y(sum + part), "f k" + std::to_string(p % 6));
      sum += part;
    }
  }
  svg += Label(left, bottom + 15, "start", chart.first_bar);
  if (chart.bars.size() > 1) svg += Label(right, bottom + 15, "end", chart.last_bar);
  svg += Label((left + right) / 2, bottom + 31, "middle", chart.x_title);
  return svg + "</svg>";
}

std::string Draw(const FloorBars& chart) {
  const double left = 46, right = kWidth - 8, row = 46;
  double most = 0;
  for (const FloorBars::Row& entry : chart.rows) most = std::max({most, entry.value, entry.floor});
  if (!(most > 0)) return {};
  const Scale x{0, most, left, right};
  std::string svg = Open(row * static_cast<double>(chart.rows.size()) + 4, chart.title);
  for (std::size_t i = 0; i < chart.rows.size(); ++i) {
    const FloorBars::Row& entry = chart.rows[i];
    const double y = row * static_cast<double>(i) + 4;
    svg += Label(left - 8, y + 13, "end", entry.name);
    svg += Rect(left, y, x(entry.value) - left, 18, "f k0");
    svg += Line(x(entry.floor), y - 3, x(entry.floor), y + 21, "floor");
    svg += Label(left, y + 33, "start", entry.value_label + "; floor " + entry.floor_label);
  }
  return svg + "</svg>";
}

}  // namespace fedmeta
