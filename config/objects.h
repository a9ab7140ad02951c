// SPDX-License-Identifier: Apache-2.0
// Objects of one kind in the order in which they were read, in blocks that are shared: a file
// that did not change gives the very same block to the next model, with the very same objects.
//
// So what differs between two models is found by looking at blocks, not at objects: see
// change().  Copying shares all blocks; a shared block is never written.  One thread.
#ifndef SLUICE_CONFIG_OBJECTS_H_
#define SLUICE_CONFIG_OBJECTS_H_

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "classifier/shared.h"

namespace sluice::config {

template <typename T>
class Objects {
 public:
  using Block = std::vector<Shared<T>>;

  class Iterator {
   public:
    // NOLINTBEGIN(readability-identifier-naming): the standard library's names
    using iterator_category = std::forward_iterator_tag;
    using value_type = Shared<T>;
    using difference_type = std::ptrdiff_t;
    using pointer = const Shared<T>*;
    using reference = const Shared<T>&;
    // NOLINTEND(readability-identifier-naming)

    Iterator() = default;
    Iterator(const Objects* of, size_t block) : of_(of), block_(block) {}
    reference operator*() const { return (*of_->blocks_[block_])[at_]; }
    pointer operator->() const { return &**this; }
    Iterator& operator++() {
      if (++at_ == of_->blocks_[block_]->size()) {
        at_ = 0;
        ++block_;
      }
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const Objects* of_ = nullptr;
    size_t block_ = 0;
    size_t at_ = 0;
  };

  Objects() = default;
  Objects(std::initializer_list<Shared<T>> objects) {
    std::for_each(objects.begin(), objects.end(), [this](const auto& o) { push_back(o); });
  }

  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, blocks_.size()}; }
  bool empty() const { return blocks_.empty(); }
  size_t size() const {
    size_t all = 0;
    for (const auto& block : blocks_) {
      all += block->size();
    }
    return all;
  }
  // By place; walks the blocks.  Throws std::out_of_range.
  const Shared<T>& at(size_t i) const {
    for (const auto& block : blocks_) {
      if (i < block->size()) {
        return (*block)[i];
      }
      i -= block->size();
    }
    throw std::out_of_range("no such object");
  }

  void push_back(Shared<T> object) { own().push_back(std::move(object)); }
  // Copies the objects behind those that are here.
  void append(const Objects& more) {
    for (const Shared<T>& object : more) {
      push_back(object);
    }
  }
  // Puts the other's blocks behind those that are here.
  void share(const Objects& more) {
    blocks_.insert(blocks_.end(), more.blocks_.begin(), more.blocks_.end());
  }
  void replace(size_t i, Shared<T> object) {
    for (auto& block : blocks_) {
      if (i < block->size()) {
        block = std::make_shared<Block>(*block);
        (*block)[i] = std::move(object);
        return;
      }
      i -= block->size();
    }
  }
  // Blocks that lose none stay the same.
  template <typename Unwanted>
  void erase_if(const Unwanted& unwanted) {
    for (auto& block : blocks_) {
      Block kept;
      std::remove_copy_if(block->begin(), block->end(), std::back_inserter(kept), unwanted);
      if (kept.size() != block->size()) {
        block = std::make_shared<Block>(std::move(kept));
      }
    }
    std::erase_if(blocks_, [](const auto& block) { return block->empty(); });
  }

  // Shared, never empty.
  const std::vector<std::shared_ptr<Block>>& blocks() const { return blocks_; }

 private:
  // The block that grows.
  Block& own() {
    if (blocks_.empty() || blocks_.back().use_count() != 1) {
      blocks_.push_back(std::make_shared<Block>());
    }
    return *blocks_.back();
  }

  std::vector<std::shared_ptr<Block>> blocks_;
};

// What is in one of two sequences alone, each in its order.
template <typename Handle>
struct Difference {
  std::vector<Handle> gone, come;
  bool none() const { return gone.empty() && come.empty(); }
};

// Of sequences of handles that are the same if their addresses are.  Cost: a look at each, and
// a search for those between the first and the last that differ.
template <typename Handle, typename AddressOf>
Difference<Handle> difference(const std::vector<Handle>& before,
                              const std::vector<Handle>& after, const AddressOf& address_of) {
  const auto same = [&](const Handle& a, const Handle& b) {
    return address_of(a) == address_of(b);
  };
  const auto [from, from2] =
      std::mismatch(before.begin(), before.end(), after.begin(), after.end(), same);
  const auto [to, to2] = std::mismatch(before.rbegin(), std::reverse_iterator(from),
                                       after.rbegin(), std::reverse_iterator(from2), same);
  using It = typename std::vector<Handle>::const_iterator;
  const auto only_in = [&](It begin, It end, It other, It other_end) {
    std::vector<const void*> known;
    known.reserve(static_cast<size_t>(other_end - other));
    std::transform(other, other_end, std::back_inserter(known), address_of);
    std::sort(known.begin(), known.end());
    std::vector<Handle> out;
    std::copy_if(begin, end, std::back_inserter(out), [&](const Handle& h) {
      return !std::binary_search(known.begin(), known.end(), address_of(h));
    });
    return out;
  };
  return {only_in(from, to.base(), from2, to2.base()),
          only_in(from2, to2.base(), from, to.base())};
}

// The objects that only one of two models has.  REQUIRES: each is once in a model, as load()
// sees to.
template <typename T>
Difference<Shared<T>> change(const Objects<T>& before, const Objects<T>& after) {
  const auto blocks = difference(before.blocks(), after.blocks(),
                                 [](const auto& block) -> const void* { return block.get(); });
  const auto objects_of = [](const auto& of) {
    std::vector<Shared<T>> out;
    for (const auto& block : of) {
      out.insert(out.end(), block->begin(), block->end());
    }
    return out;
  };
  return difference(objects_of(blocks.gone), objects_of(blocks.come),
                    [](const Shared<T>& object) -> const void* { return object.address(); });
}

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_OBJECTS_H_
