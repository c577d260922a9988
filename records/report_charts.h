#pragma once

#include <optional>
#include <string>
#include <vector>

namespace fedmeta {

// Figures as inline SVG, 360 units wide: legible one to one on a phone, two to a row on a desk or
// on A4. Colours are the style sheet's (class "k0" .. "k5"); forms differ too. All text is escaped
// here.

/// For text and attribute values of HTML; control characters become blanks.
std::string Escaped(const std::string& text);

struct ChartTick {
  double at = 0;
  std::string label = {};
};
/// About `count` round numbers that span low to high, which are widened to the first and the last
/// of them.
std::vector<double> NiceTicks(double& low, double& high, int count);

struct LinePoint {
  double x = 0, y = 0;
  double band = 0;  ///< half its height; 0: none
};
struct LineSeries {
  std::string name = {};  ///< written at the right end
  int color = 0;
  bool quiet = false;  ///< thin, without markers
  std::vector<LinePoint> points = {};
};
struct LineChart {
  std::string title = {};  ///< read aloud; above the plot where `show_title`
  bool show_title = false;
  std::string x_title = {}, y_title = {};
  std::vector<ChartTick> x_ticks = {};  ///< empty: round numbers
  bool percent = false;                 ///< y are shares
  std::vector<LineSeries> series = {};
  std::optional<ChartTick> mark = {};  ///< a vertical line
};
std::string Draw(const LineChart& chart);

struct DumbbellRow {
  std::string name = {};
  double before = 0, after = 0;
  std::optional<double> alone = {};
};
struct DumbbellChart {
  std::string title = {}, x_title = {};
  bool percent = false;
  std::vector<DumbbellRow> rows = {};
};
std::string Draw(const DumbbellChart& chart);

enum class SiteState : unsigned char { kNotAsked, kReported, kDropped, kAbandoned };
struct SiteGrid {
  std::string title = {};
  std::vector<std::string> sites = {};
  std::vector<std::vector<SiteState>> states = {};  ///< by site, then column
  std::string first_column = {}, last_column = {};
};
std::string Draw(const SiteGrid& grid);

struct StackedBars {
  std::string title = {}, x_title = {}, y_title = {};
  std::vector<std::vector<double>> bars = {};  ///< by bar, then part; part p has colour p
  std::string first_bar = {}, last_bar = {};
};
std::string Draw(const StackedBars& chart);

struct FloorBars {
  struct Row {
    std::string name = {}, value_label = {}, floor_label = {};
    double value = 0, floor = 0;
  };
  std::string title;
  std::vector<Row> rows;
};
std::string Draw(const FloorBars& chart);

}  // namespace fedmeta
