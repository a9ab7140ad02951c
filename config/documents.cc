// SPDX-License-Identifier: Apache-2.0
#include "config/documents.h"

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>

namespace sluice::config {
namespace {

constexpr unsigned kMaxDepth = 32;

const std::string kTooDeep = "nested deeper than " + std::to_string(kMaxDepth);

// How many bytes the UTF-8 character at `at` has; 0 if it is none, or a control character.
size_t character_bytes(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const unsigned first = byte(at);
  if (first < 0x80) {
    const bool control = (first < 0x20 && first != '\t' && first != '\n' && first != '\r');
    return control || first == 0x7f ? 0 : 1;
  }
  const size_t length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) {
      return 0;
    }
  }
  const unsigned second = byte(at + 1);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool surrogate = first == 0xed && second >= 0xa0;
  const bool beyond = first > 0xf4 || (first == 0xf4 && second >= 0x90);
  return overlong || surrogate || beyond ? 0 : length;
}

// Is all of it UTF-8 text?  Complains at the first byte that is not.
bool check_characters(const Source& source) {
  Where at{source.file, source.line + 1, 1};
  const std::string_view text = source.text;
  for (size_t i = 0; i < text.size();) {
    const size_t bytes = character_bytes(text, i);
    if (bytes == 0) {
      constexpr char kDigits[] = "0123456789abcdef";
      const auto value = static_cast<unsigned char>(text[i]);
      source.findings->error(at,
                             std::string("byte 0x") + kDigits[value >> 4] +
                                 kDigits[value & 15] + " is not UTF-8 text",
                             "save the file as UTF-8, without control characters");
      return false;
    }
    at.column += static_cast<int>(bytes);
    if (text[i] == '\n') {
      at = {source.file, at.line + 1, 1};
    }
    i += bytes;
  }
  return true;
}

// Walks everything once: duplicate keys, tags, depth, and the nodes reached, aliases expanded.
// One for all documents of a text, in which `nodes` are written.
class Checker {
 public:
  Checker(const Source& source, size_t nodes, size_t aliased)
      : source_(source), written_(nodes), most_(nodes + aliased) {}

  bool check(const YAML::Node& node, unsigned depth) {
    if (depth > kMaxDepth) {
      return fail(node, kTooDeep);
    }
    if (reached_ == most_) {
      return fail(node, "aliases expand to too many nodes");
    }
    ++reached_;
    if (!check_tag(node)) {
      return false;
    }
    if (node.IsSequence()) {
      for (const auto& item : node) {
        if (!check(item, depth + 1)) {
          return false;
        }
      }
    } else if (node.IsMap()) {
      return check_map(node, depth);
    }
    return true;
  }

  // Nodes more than are written.
  size_t aliased() const { return reached_ - std::min(reached_, written_); }

 private:
  bool check_tag(const YAML::Node& node) {
    const std::string& tag = node.Tag();
    return tag.empty() || tag == "?" || tag == "!" ||
           fail(node, "tags such as \"" + tag + "\" are not read", "leave the tag out");
  }
  bool check_map(const YAML::Node& node, unsigned depth) {
    std::map<std::string, int> seen;
    for (const auto& item : node) {
      if (!item.first.IsScalar()) {
        return fail(item.first, "a key must be plain text");
      }
      if (!check(item.first, depth + 1)) {
        return false;
      }
      if (item.first.Scalar() == "<<" && item.first.Tag() != "!") {
        return fail(item.first, "merge keys are not read", "write the merged fields out");
      }
      const auto [it, fresh] = seen.emplace(item.first.Scalar(), item.first.Mark().line + 1);
      if (!fresh) {
        return fail(item.first, "duplicate key \"" + it->first + "\", first in line " +
                                    std::to_string(source_.line + it->second));
      }
      if (!check(item.second, depth + 1)) {
        return false;
      }
    }
    return true;
  }
  bool fail(const YAML::Node& node, const std::string& message, const std::string& hint = {}) {
    source_.findings->error(place(source_, node.Mark()), message, hint);
    return false;
  }
  const Source& source_;
  size_t written_;
  size_t most_;
  size_t reached_ = 0;
};

// Listens to a first reading, before anything is built.  At a stray ":" yaml-cpp's LoadAll
// makes empty documents without end, for it never gets past it; and only here do nodes that
// nest too deep say where they are.
class Listener : public YAML::EventHandler {
 public:
  // Reads all of `text`; false where the parser stands still.
  bool listen(const std::string& text) {
    std::istringstream in(text);
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(*this)) {
      if (documents_ > 1 && last_.pos <= before_.pos) {
        return false;
      }
    }
    return true;
  }
  const YAML::Mark& last() const { return last_; }
  const std::optional<YAML::Mark>& too_deep() const { return too_deep_; }
  size_t nodes() const { return nodes_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    ++documents_;
    before_ = last_;
    last_ = mark;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override { ++nodes_; }
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override { ++nodes_; }
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {
    ++nodes_;
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    enter(mark);
  }
  void OnSequenceEnd() override { --depth_; }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    enter(mark);
  }
  void OnMapEnd() override { --depth_; }

 private:
  void enter(const YAML::Mark& mark) {
    ++nodes_;
    if (++depth_ > kMaxDepth && !too_deep_) {
      too_deep_ = mark;
    }
  }
  unsigned depth_ = 0;
  std::optional<YAML::Mark> too_deep_;
  size_t documents_ = 0;
  size_t nodes_ = 0;
  YAML::Mark before_;
  YAML::Mark last_;
};

// At an end of document yaml-cpp notices that a quote is still open, at the end of the text it
// does not.
std::string with_end(std::string_view text) {
  return std::string(text) + (text.ends_with('\n') ? "...\n" : "\n...\n");
}

// Does the line begin with blanks, one of which is a tab?
bool indented_by_tab(std::string_view text, int line) {
  size_t start = 0;
  for (int i = 0; i < line && start != std::string_view::npos; ++i) {
    start = text.find('\n', start);
    start += start == std::string_view::npos ? 0 : 1;
  }
  if (start == std::string_view::npos) {
    return false;
  }
  const size_t end = text.find_first_not_of(" \t", start);
  return text.substr(start, end - start).find('\t') != std::string_view::npos;
}

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

}  // namespace

std::string_view without_mark(std::string_view text) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  return text.starts_with(kMark) ? text.substr(kMark.size()) : text;
}

std::vector<Piece> pieces_of(std::string_view text) {
  std::vector<Piece> out;
  Piece piece;
  size_t begin = 0;
  bool begun = false;  // has the piece a document yet?
  int number = 0;
  for (size_t at = 0; at < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::string_view line = text.substr(at, end - at);
    const size_t first = line.find_first_not_of(" \t\r\n");
    const bool marker = line.starts_with("---") && (line.size() == 3 || is_blank(line[3]));
    if (marker && begun) {
      piece.text = text.substr(begin, at - begin);
      out.push_back(piece);
      piece.line = number;
      begin = at;
    }
    begun = begun || (first != std::string_view::npos && line[first] != '#' && line[0] != '%');
    at = end;
  }
  piece.text = text.substr(begin);
  out.push_back(piece);
  return out;
}

std::vector<Value> parse_documents(const Source& source) {
  size_t aliased = kMaxAliased;
  return parse_documents(source, aliased);
}

std::vector<Value> parse_documents(const Source& source, size_t& aliased) {
  std::vector<Value> out;
  if (!check_characters(source)) {
    return out;
  }
  const std::string text = with_end(source.text);
  Listener listener;
  try {
    if (!listener.listen(text)) {
      source.findings->error(place(source, listener.last()), "neither a field nor a value");
      return out;
    }
    if (listener.too_deep()) {
      source.findings->error(place(source, *listener.too_deep()), kTooDeep);
      return out;
    }
    Checker checker(source, listener.nodes(), aliased);
    for (const YAML::Node& node : YAML::LoadAll(text)) {
      if (node.IsNull()) {
        continue;
      }
      if (!checker.check(node, 0)) {
        return {};
      }
      out.emplace_back(source, node, "", place(source, node.Mark()));
    }
    aliased -= checker.aliased();
  } catch (const YAML::DeepRecursion& error) {
    source.findings->error(place(source, listener.too_deep().value_or(error.mark)), kTooDeep);
    return {};
  } catch (const YAML::Exception& error) {
    const bool open = error.msg == YAML::ErrorMsg::DOC_IN_SCALAR;
    source.findings->error(
        place(source, error.mark), open ? "a quote is not closed" : error.msg,
        indented_by_tab(source.text, error.mark.line) ? "indent with spaces, not tabs" : "");
    return {};
  }
  return out;
}

}  // namespace sluice::config
