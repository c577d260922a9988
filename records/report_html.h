#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fedmeta {

/// A row of a table. `color` >= 0: the first cell carries the swatch of that colour.
struct TableRow {
  std::vector<std::string> cells = {};
  int color = -1;
};
/// Text is escaped; all columns but the first are right-aligned.
std::string HtmlTable(const std::vector<std::string>& header, const std::vector<TableRow>& rows);
/// A figure with the question it answers: the answer in words, then figure and table side by side,
/// above each other on a phone. `answer` is text; `figure` and `aside` are HTML, empty ones are
/// left out.
std::string HtmlSection(const std::string& question, const std::string& answer,
                        const std::string& figure, const std::string& aside);
/// A line under a figure that says how to read it; HTML.
std::string HtmlCaption(const std::string& html);

/// The style sheet of the page.
std::string_view ReportStyle();

}  // namespace fedmeta
