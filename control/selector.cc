// SPDX-License-Identifier: Apache-2.0
#include "control/selector.h"

#include <algorithm>
#include <functional>

#include "control/hash.h"

namespace sluice::control {

struct Selector::Node {
  enum class Op : uint8_t {
    all,
    global,
    has,
    equals,
    not_equals,
    contains,
    starts_with,
    ends_with,
    in,
    not_in,
    negation,
    conjunction,
    disjunction
  };
  Op op = Op::all;
  std::string key;
  std::vector<std::string> values;  // the operand, or the set: sorted, unique
  std::vector<std::shared_ptr<const Node>> children;
};

namespace {

using Node = Selector::Node;
using Op = Node::Op;
using NodePtr = std::shared_ptr<const Node>;

constexpr size_t kMaxLabel = 512;
constexpr unsigned kMaxDepth = 64;

NodePtr make(Op op, std::string key = {}, std::vector<std::string> values = {}) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return std::make_shared<const Node>(Node{op, std::move(key), std::move(values), {}});
}

NodePtr join(Op op, std::vector<NodePtr> children) {
  return std::make_shared<const Node>(Node{op, {}, {}, std::move(children)});
}

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}
bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}
bool is_label(char c) {
  return is_word(c) || c == '.' || c == '/' || c == '-';
}

// One pass over the text, by recursive descent.  Every step returns false, or a null node,
// after the first failure, which `failure` and `failed_at` describe.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  NodePtr parse() {
    skip_blanks();
    if (at_end()) {
      return make(Op::all);
    }
    NodePtr root = disjunction();
    if (root != nullptr && !at_end()) {
      return fail(std::string("unexpected content at end: ") + quoted_here());
    }
    return root;
  }

  std::string failure;
  size_t failed_at = 0;

 private:
  bool at_end() const { return at_ == text_.size(); }
  std::string_view rest() const { return text_.substr(at_); }

  void skip_blanks() {
    while (!at_end() && is_blank(text_[at_])) {
      ++at_;
    }
  }

  std::string quoted_here() const {
    constexpr size_t kShown = 16;
    return "'" + std::string(rest().substr(0, kShown)) + "'";
  }

  NodePtr fail(std::string what) {
    failure = std::move(what);
    failed_at = at_;
    return nullptr;
  }

  // Fails with `expected X`, or `unexpected end` if there is nothing left.
  NodePtr expected(const std::string& what) {
    return fail(at_end() ? "unexpected end: expected " + what
                         : "expected " + what + ", not " + quoted_here());
  }

  bool take(std::string_view token) {
    if (!rest().starts_with(token)) {
      return false;
    }
    at_ += token.size();
    skip_blanks();
    return true;
  }

  // Takes the words if they stand here, blanks between them or not, up to a word boundary.
  bool take_words(std::string_view first, std::string_view second = {}) {
    const size_t start = at_;
    if (!rest().starts_with(first)) {
      return false;
    }
    at_ += first.size();
    if (!second.empty()) {
      skip_blanks();
    }
    if (rest().starts_with(second)) {
      at_ += second.size();
      if (at_end() || !is_word(text_[at_])) {
        skip_blanks();
        return true;
      }
    }
    at_ = start;
    return false;
  }

  NodePtr group(Op op, std::string_view separator, NodePtr (Parser::*operand)()) {
    std::vector<NodePtr> operands;
    do {
      NodePtr next = (this->*operand)();
      if (next == nullptr) {
        return nullptr;
      }
      operands.push_back(std::move(next));
    } while (take(separator));
    return operands.size() == 1 ? operands.front() : join(op, std::move(operands));
  }

  NodePtr disjunction() {
    NodePtr node = group(Op::disjunction, "||", &Parser::conjunction);
    return node != nullptr && lone("|") ? expected("'||'") : node;
  }

  NodePtr conjunction() {
    NodePtr node = group(Op::conjunction, "&&", &Parser::operation);
    return node != nullptr && lone("&") ? expected("'&&'") : node;
  }

  bool lone(std::string_view sign) const {
    return rest().starts_with(sign) && !starts_double();
  }
  bool starts_double() const { return rest().starts_with("||") || rest().starts_with("&&"); }

  NodePtr operation() {
    bool negated = false;
    while (take("!")) {
      negated = !negated;
    }
    NodePtr node = primary();
    return node != nullptr && negated ? join(Op::negation, {std::move(node)}) : node;
  }

  NodePtr primary() {
    if (take("has(")) {
      return has();
    }
    if (take("all(")) {
      return closed("all(", make(Op::all));
    }
    if (take("global(")) {
      return closed("global(", make(Op::global));
    }
    if (take("(")) {
      return parentheses();
    }
    if (at_end()) {
      return fail("unexpected end: expected a label, has(, all( or (");
    }
    if (!is_label(text_[at_])) {
      return fail("unexpected token: " + quoted_here());
    }
    std::string key;
    return label(key) ? comparison(std::move(key)) : nullptr;
  }

  NodePtr has() {
    if (at_end() || !is_label(text_[at_])) {
      return expected("identifier");
    }
    std::string key;
    return label(key) ? closed("has(", make(Op::has, std::move(key))) : nullptr;
  }

  NodePtr closed(const char* opening, NodePtr node) {
    return take(")") ? std::move(node) : fail(std::string("no closing ')' after ") + opening);
  }

  NodePtr parentheses() {
    if (++depth_ > kMaxDepth) {
      return fail("nested deeper than " + std::to_string(kMaxDepth) + " levels");
    }
    NodePtr node = disjunction();
    if (node != nullptr && !take(")")) {
      return expected("')'");
    }
    --depth_;
    return node;
  }

  bool label(std::string& key) {
    size_t length = 0;
    while (length < rest().size() && is_label(rest()[length])) {
      ++length;
    }
    if (length > kMaxLabel) {
      fail("label too long: " + std::to_string(length) + " bytes exceed " +
           std::to_string(kMaxLabel));
      return false;
    }
    key = rest().substr(0, length);
    at_ += length;
    skip_blanks();
    return true;
  }

  NodePtr comparison(std::string key) {
    if (take("==")) {
      return with_string(Op::equals, std::move(key));
    }
    if (take("!=")) {
      return with_string(Op::not_equals, std::move(key));
    }
    if (rest().starts_with("=")) {
      return expected("'=='");
    }
    if (take_words("contains")) {
      return with_string(Op::contains, std::move(key));
    }
    if (take_words("starts", "with")) {
      return with_string(Op::starts_with, std::move(key));
    }
    if (take_words("ends", "with")) {
      return with_string(Op::ends_with, std::move(key));
    }
    if (take_words("in")) {
      return with_set(Op::in, std::move(key));
    }
    if (take_words("not", "in")) {
      return with_set(Op::not_in, std::move(key));
    }
    return expected("operator after label '" + key + "'");
  }

  bool at_string() const { return !at_end() && (text_[at_] == '"' || text_[at_] == '\''); }

  bool string(std::string& value) {
    const size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) {
      fail("unterminated string");
      return false;
    }
    value = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    skip_blanks();
    return true;
  }

  NodePtr with_string(Op op, std::string key) {
    if (!at_string()) {
      return expected("string");
    }
    std::string value;
    return string(value) ? make(op, std::move(key), {std::move(value)}) : nullptr;
  }

  NodePtr with_set(Op op, std::string key) {
    if (!take("{")) {
      return expected("set literal");
    }
    std::vector<std::string> values;
    while (at_string()) {
      if (!string(values.emplace_back())) {
        return nullptr;
      }
      if (!take(",")) {
        break;
      }
    }
    return take("}") ? make(op, std::move(key), std::move(values)) : expected("'}'");
  }

  std::string_view text_;
  size_t at_ = 0;
  unsigned depth_ = 0;
};

bool evaluate(const Node& node, const Selector::Labels& labels) {
  const auto holds = [&](const NodePtr& child) { return evaluate(*child, labels); };
  switch (node.op) {
    case Op::all:
    case Op::global:
      return true;
    case Op::negation:
      return !holds(node.children.front());
    case Op::conjunction:
      return std::all_of(node.children.begin(), node.children.end(), holds);
    case Op::disjunction:
      return std::any_of(node.children.begin(), node.children.end(), holds);
    default:
      break;
  }
  const auto label = labels.find(node.key);
  if (label == labels.end()) {
    return node.op == Op::not_equals || node.op == Op::not_in;
  }
  const std::string_view value = label->second;
  const auto is_member = [&] {
    return std::binary_search(node.values.begin(), node.values.end(), value);
  };
  switch (node.op) {
    case Op::equals:
      return value == node.values.front();
    case Op::not_equals:
      return value != node.values.front();
    case Op::contains:
      return value.find(node.values.front()) != std::string_view::npos;
    case Op::starts_with:
      return value.starts_with(node.values.front());
    case Op::ends_with:
      return value.ends_with(node.values.front());
    case Op::in:
      return is_member();
    case Op::not_in:
      return !is_member();
    default:
      return true;  // has
  }
}

std::string in_quotes(const std::string& value) {
  const char quote = value.find('"') == std::string::npos ? '"' : '\'';
  return quote + value + quote;
}

void render(const Node& node, std::string& out);

void render_group(const Node& node, const char* separator, std::string& out) {
  out += '(';
  for (size_t i = 0; i < node.children.size(); ++i) {
    out += i == 0 ? "" : separator;
    render(*node.children[i], out);
  }
  out += ')';
}

void render_set(const Node& node, const char* op, std::string& out) {
  out += node.key + op + '{';
  for (size_t i = 0; i < node.values.size(); ++i) {
    out += (i == 0 ? "" : ", ") + in_quotes(node.values[i]);
  }
  out += '}';
}

void render(const Node& node, std::string& out) {
  const auto compare = [&](const char* op) {
    out += node.key + op + in_quotes(node.values.front());
  };
  switch (node.op) {
    case Op::all:
      out += "all()";
      return;
    case Op::global:
      out += "global()";
      return;
    case Op::has:
      out += "has(" + node.key + ")";
      return;
    case Op::equals:
      return compare(" == ");
    case Op::not_equals:
      return compare(" != ");
    case Op::contains:
      return compare(" contains ");
    case Op::starts_with:
      return compare(" starts with ");
    case Op::ends_with:
      return compare(" ends with ");
    case Op::in:
      return render_set(node, " in ", out);
    case Op::not_in:
      return render_set(node, " not in ", out);
    case Op::negation:
      out += '!';
      return render(*node.children.front(), out);
    case Op::conjunction:
      return render_group(node, " && ", out);
    case Op::disjunction:
      return render_group(node, " || ", out);
  }
}

// The tree with each leaf replaced by what `change` makes of it.
NodePtr map_leaves(const NodePtr& node, const std::function<NodePtr(const NodePtr&)>& change) {
  if (node->children.empty()) {
    return change(node);
  }
  std::vector<NodePtr> children;
  for (const NodePtr& child : node->children) {
    children.push_back(map_leaves(child, change));
  }
  return join(node->op, std::move(children));
}

bool mentions(const Node& node, Op op) {
  return node.op == op || std::any_of(node.children.begin(), node.children.end(),
                                      [&](const NodePtr& c) { return mentions(*c, op); });
}

void collect_terms(const Node& node, std::vector<Selector::Term>& terms) {
  switch (node.op) {
    case Op::conjunction:
      for (const NodePtr& child : node.children) {
        collect_terms(*child, terms);
      }
      return;
    case Op::equals:
    case Op::in:
      terms.push_back({node.key, node.values});
      return;
    case Op::has:
    case Op::contains:
    case Op::starts_with:
    case Op::ends_with:
      terms.push_back({node.key, std::nullopt});
      return;
    default:
      return;
  }
}

}  // namespace

Selector::Selector() : Selector(make(Op::all)) {}

Selector::Selector(std::shared_ptr<const Node> root) : root_(std::move(root)) {
  render(*root_, canonical_);
}

Result<Selector> Selector::parse(std::string_view text, size_t* error_offset) {
  Parser parser(text);
  NodePtr root = parser.parse();
  if (root != nullptr) {
    return Selector(std::move(root));
  }
  if (error_offset != nullptr) {
    *error_offset = parser.failed_at;
  }
  return Error{"at offset " + std::to_string(parser.failed_at) + ": " + parser.failure};
}

bool Selector::matches(const Labels& labels) const {
  return evaluate(*root_, labels);
}

std::string Selector::id() const {
  return unique_id("s", canonical_);
}

std::vector<Selector::Term> Selector::required_terms() const {
  std::vector<Term> terms;
  collect_terms(*root_, terms);
  return terms;
}

Selector Selector::all() {
  return Selector();
}

Selector Selector::has(const std::string& key) {
  return Selector(make(Op::has, key));
}

Selector Selector::equals(const std::string& key, const std::string& value) {
  return Selector(make(Op::equals, key, {value}));
}

Selector Selector::in(const std::string& key, const std::vector<std::string>& values) {
  return Selector(make(Op::in, key, values));
}

Selector Selector::conjunction(const Selector& a, const Selector& b) {
  return Selector(join(Op::conjunction, {a.root_, b.root_}));
}

Selector Selector::negated() const {
  return Selector(join(Op::negation, {root_}));
}

Selector Selector::with_key_prefix(std::string_view prefix) const {
  return Selector(map_leaves(root_, [&](const NodePtr& leaf) {
    if (leaf->op == Op::all || leaf->op == Op::global) {
      return leaf;
    }
    return make(leaf->op, std::string(prefix) + leaf->key, leaf->values);
  }));
}

Selector Selector::with_all_replaced(const Selector& for_all,
                                     const Selector& for_global) const {
  return Selector(map_leaves(root_, [&](const NodePtr& leaf) {
    switch (leaf->op) {
      case Op::all:
        return for_all.root_;
      case Op::global:
        return for_global.root_;
      default:
        return leaf;
    }
  }));
}

bool Selector::mentions_global() const {
  return mentions(*root_, Op::global);
}

bool Selector::is_exactly_global() const {
  return root_->op == Op::global;
}

}  // namespace sluice::control
