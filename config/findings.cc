// SPDX-License-Identifier: Apache-2.0
#include "config/findings.h"

#include <algorithm>
#include <numeric>

namespace sluice::config {
namespace {

// Names and values come from the files: nothing in them moves a terminal's cursor.
std::string printable(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool c1 = byte >= 0x80 && byte < 0xa0 && out.ends_with('\xc2');  // U+0080..U+009F
    if (c1) {
      out.pop_back();
    }
    if (byte < 0x20 || byte == 0x7f || c1) {
      out += std::string("\\x") + kDigits[byte >> 4] + kDigits[byte & 15];
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

void Findings::error(Where where, std::string message, std::string hint) {
  all_.push_back({Severity::error, where, std::move(message), std::move(hint)});
  has_errors_ = true;
}

void Findings::warning(Where where, std::string message, std::string hint) {
  all_.push_back({Severity::warning, where, std::move(message), std::move(hint)});
}

void Findings::note(Where where, std::string message, std::string hint) {
  all_.push_back({Severity::note, where, std::move(message), std::move(hint)});
}

void Findings::add(const Findings& more) {
  all_.insert(all_.end(), more.all_.begin(), more.all_.end());
  has_errors_ = has_errors_ || more.has_errors_;
}

std::string Findings::format(const std::vector<std::string>& files) const {
  std::vector<const Finding*> order;
  for (const Finding& f : all_) {
    order.push_back(&f);
  }
  std::stable_sort(order.begin(), order.end(), [](const Finding* a, const Finding* b) {
    return std::tuple(a->where.file, a->where.line, a->where.column) <
           std::tuple(b->where.file, b->where.line, b->where.column);
  });
  std::string out;
  for (const Finding* f : order) {
    if (f->where.file < files.size()) {
      out += printable(files[f->where.file]) + ":";
    }
    if (f->where.line > 0) {
      out += std::to_string(f->where.line) + ":" + std::to_string(f->where.column) + ":";
    }
    constexpr const char* kWords[] = {"error", "warning", "note"};
    out += (out.empty() || out.back() == '\n' ? "" : " ");
    out += std::string(kWords[static_cast<size_t>(f->severity)]) + ": " +
           printable(f->message) + "\n";
    if (!f->hint.empty()) {
      out += "  hint: " + printable(f->hint) + "\n";
    }
  }
  return out;
}

std::string nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  std::string best;
  size_t best_distance = word.size() / 3 + 1;
  for (const std::string_view candidate : candidates) {
    const size_t least =
        std::max(word.size(), candidate.size()) - std::min(word.size(), candidate.size());
    if (least > best_distance) {  // bounds the work: the word may be a whole file
      continue;
    }
    // Levenshtein, one row at a time.
    std::vector<size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 1; i <= word.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= candidate.size(); ++j) {
        const size_t change = diagonal + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
      }
    }
    if (row.back() <= best_distance && (best.empty() || row.back() < best_distance)) {
      best = candidate;
      best_distance = row.back();
    }
  }
  return best;
}

}  // namespace sluice::config
