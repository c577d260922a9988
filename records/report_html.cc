#include "fedmeta/records/report_html.h"

#include "fedmeta/records/report_charts.h"

namespace fedmeta {

std::string HtmlTable(const std::vector<std::string>& header, const std::vector<TableRow>& rows) {
  std::string html = "<div class=\"scroll\"><table><thead><tr>";
  for (const std::string& cell : header) html += "<th scope=\"col\">" + Escaped(cell) + "</th>";
  html += "</tr></thead><tbody>";
  for (const TableRow& row : rows) {
    html += "<tr>";
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      if (i > 0) {
        html += "<td>" + Escaped(row.cells[i]) + "</td>";
        continue;
      }
      html += "<th scope=\"row\">";
      if (row.color >= 0)
        html += "<span class=\"swatch k" + std::to_string(row.color) + "b\"></span>";
      html += Escaped(row.cells[i]) + "</th>";
    }
    html += "</tr>";
  }
  return html + "</tbody></table></div>";
}

std::string HtmlSection(const std::string& question, const std::string& answer,
                        const std::string& figure, const std::string& aside) {
  std::string html = "<section><h2>" + Escaped(question) + "</h2>";
  if (!answer.empty()) html += "<p class=\"answer\">" + Escaped(answer) + "</p>";
  if (!figure.empty() || !aside.empty()) {
    html += "<div class=\"pair\">";
    if (!figure.empty()) html += "<figure>" + figure + "</figure>";
    if (!aside.empty()) html += "<div class=\"aside\">" + aside + "</div>";
    html += "</div>";
  }
  return html + "</section>\n";
}

std::string HtmlCaption(const std::string& html) { return "<figcaption>" + html + "</figcaption>"; }

}  // namespace fedmeta
