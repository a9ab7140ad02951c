// SPDX-License-Identifier: Apache-2.0
#include "control/cli_output.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <ctime>

namespace sluice::control::cli {

using nlohmann::json;

void print_error(std::string_view what, std::string_view hint) {
  while (!what.empty()) {
    const size_t end = what.find('\n');
    const std::string line(what.substr(0, end));
    // An indented line (a hint) belongs to the one above it.
    std::fprintf(stderr, "%s%s\n", line.starts_with(' ') ? "" : "sluicectl: ", line.c_str());
    what = end == std::string_view::npos ? std::string_view() : what.substr(end + 1);
  }
  if (!hint.empty()) {
    std::fprintf(stderr, "  hint: %s\n", std::string(hint).c_str());
  }
}

void print_json(const json& value) {
  const std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  std::printf("%s\n", text.c_str());
}

std::string text_of(const json& value) {
  if (value.is_null() || (value.is_string() && value.get_ref<const std::string&>().empty())) {
    return "-";
  }
  if (value.is_string()) {
    return value.get<std::string>();
  }
  if (value.is_boolean()) {
    return value.get<bool>() ? "yes" : "no";
  }
  if (value.is_number_float()) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value.get<double>());
    return text;
  }
  if (value.is_array()) {
    std::string joined;
    for (const json& one : value) {
      joined += (joined.empty() ? "" : ",") + text_of(one);
    }
    return joined.empty() ? "-" : joined;
  }
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string time_text(const json& at) {
  const std::time_t seconds = at.is_number() ? at.get<std::time_t>() : 0;
  char text[32] = "-";
  std::tm utc{};
  if (seconds != 0 && gmtime_r(&seconds, &utc) != nullptr) {
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  }
  return text;
}

void print_table(const json& rows, const std::vector<std::string>& columns) {
  std::vector<std::vector<std::string>> cells(1);
  std::vector<size_t> widths;
  for (const std::string& column : columns) {
    std::string head = column;
    std::transform(head.begin(), head.end(), head.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    widths.push_back(head.size());
    cells[0].push_back(std::move(head));
  }
  std::vector<bool> numeric(columns.size(), true);
  for (const json& row : rows) {
    auto& line = cells.emplace_back();
    for (size_t i = 0; i < columns.size(); ++i) {
      const auto found = row.find(columns[i]);
      const json value = found == row.end() ? json() : *found;
      line.push_back(text_of(value));
      widths[i] = std::max(widths[i], line[i].size());
      numeric[i] = numeric[i] && (value.is_number() || value.is_null());
    }
  }
  for (const auto& line : cells) {
    std::string text;
    for (size_t i = 0; i < line.size(); ++i) {
      const std::string padding(widths[i] - line[i].size(), ' ');
      text += i == 0 ? "" : "  ";
      text += numeric[i] ? padding + line[i] : line[i] + padding;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    std::printf("%s\n", text.c_str());
  }
}

}  // namespace sluice::control::cli
