// SPDX-License-Identifier: Apache-2.0
// Objects in blocks against the same objects in a vector.
#include "config/objects.h"

#include <random>

#include <gtest/gtest.h>

namespace sluice::config {
namespace {

using Numbers = Objects<unsigned>;
using Twin = std::vector<const unsigned*>;

Twin addresses(const Numbers& objects) {
  Twin out;
  for (const Shared<unsigned>& object : objects) {
    out.push_back(object.address());
  }
  return out;
}
Twin addresses(const std::vector<Shared<unsigned>>& objects) {
  Twin out;
  for (const Shared<unsigned>& object : objects) {
    out.push_back(object.address());
  }
  return out;
}

// Those of `a` that `b` has not.
Twin without(const Twin& a, const Twin& b) {
  Twin out;
  std::copy_if(a.begin(), a.end(), std::back_inserter(out), [&](const unsigned* one) {
    return std::find(b.begin(), b.end(), one) == b.end();
  });
  return out;
}

class ObjectsTest : public testing::Test {
 protected:
  ObjectsTest() : seed_(std::random_device{}()), random_(seed_) {
    RecordProperty("seed", static_cast<int>(seed_));
  }
  size_t pick(size_t below) { return random_() % below; }
  Numbers some() {
    Numbers out;
    for (size_t n = pick(4); n > 0; --n) {
      out.push_back(static_cast<unsigned>(pick(10)));
    }
    return out;
  }

  std::random_device::result_type seed_;
  std::mt19937 random_;
};

TEST_F(ObjectsTest, AreWhatAVectorWouldBe) {
  SCOPED_TRACE(seed_);
  Numbers objects;
  std::vector<Numbers> copies;  // that must not change any more
  std::vector<Twin> as_they_were;
  Twin twin;
  for (int round = 0; round < 2000; ++round) {
    const Numbers more = some();
    const Twin theirs = addresses(more);
    switch (pick(6)) {
      case 0:
        objects.share(more);
        twin.insert(twin.end(), theirs.begin(), theirs.end());
        break;
      case 1:
        objects.append(more);
        twin.insert(twin.end(), theirs.begin(), theirs.end());
        break;
      case 2: {
        const Shared<unsigned> one(7);
        objects.push_back(one);
        twin.push_back(one.address());
        break;
      }
      case 3:
        if (!twin.empty()) {
          const Shared<unsigned> one(8);
          const size_t at = pick(twin.size());
          objects.replace(at, one);
          twin[at] = one.address();
        }
        break;
      case 4: {
        const auto unwanted = static_cast<unsigned>(pick(10));
        std::erase_if(twin, [=](const unsigned* one) { return *one == unwanted; });
        objects.erase_if([=](unsigned value) { return value == unwanted; });
        break;
      }
      default:
        copies.push_back(objects);
        as_they_were.push_back(twin);
    }
    ASSERT_EQ(addresses(objects), twin);
    ASSERT_EQ(objects.size(), twin.size());
    ASSERT_EQ(objects.empty(), twin.empty());
    if (!twin.empty()) {
      const size_t at = pick(twin.size());
      ASSERT_EQ(objects.at(at).address(), twin[at]);
    }
    EXPECT_THROW(objects.at(twin.size()), std::out_of_range);
  }
  for (size_t i = 0; i < copies.size(); ++i) {
    ASSERT_EQ(addresses(copies[i]), as_they_were[i]);
  }
}

TEST_F(ObjectsTest, ChangeIsWhatOnlyOneHas) {
  SCOPED_TRACE(seed_);
  std::vector<Numbers> files(8);
  Numbers before;
  for (int round = 0; round < 2000; ++round) {
    for (size_t n = pick(3); n > 0; --n) {
      Numbers& file = files[pick(files.size())];
      if (pick(2) == 0) {
        file = some();
      } else if (!file.empty()) {  // read again: some of its objects are the same
        Numbers again;
        again.append(file);
        again.replace(pick(again.size()), 9);
        file = again;
      }
    }
    std::swap(files[pick(files.size())], files[pick(files.size())]);
    Numbers now;
    for (const Numbers& file : files) {
      now.share(file);
    }
    const auto changed = change(before, now);
    ASSERT_EQ(addresses(changed.gone), without(addresses(before), addresses(now)));
    ASSERT_EQ(addresses(changed.come), without(addresses(now), addresses(before)));
    ASSERT_EQ(changed.none(), changed.gone.empty() && changed.come.empty());
    before = now;
  }
}

}  // namespace
}  // namespace sluice::config
