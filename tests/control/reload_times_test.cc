// SPDX-License-Identifier: Apache-2.0
#include "control/reload_times.h"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

constexpr Nanos kMs = 1'000'000;

TEST(Histogram, CountsEachDurationInTheFirstBucketThatHoldsIt) {
  EXPECT_EQ(Histogram::kUpTo.front(), 100'000);
  EXPECT_EQ(Histogram::kUpTo.back(), 100'000 * kMs);
  Histogram h;
  EXPECT_EQ(h.quantile(0.5), 0);
  for (const Nanos duration : {Nanos{0}, 1 * kMs, 1 * kMs + 1, 200'000 * kMs}) {
    h.add(duration);
  }
  const nlohmann::json said = h.as_json();
  EXPECT_EQ(said["count"], 4);
  EXPECT_DOUBLE_EQ(said["sum_s"], 200.002000001);
  std::map<std::string, int> counts;
  for (const auto& bucket : said["buckets"]) {
    if (bucket["count"] != 0) {
      counts[bucket["up_to_s"].dump()] = bucket["count"];
    }
  }
  EXPECT_EQ(counts, (std::map<std::string, int>{
                        {"0.0001", 1}, {"0.001", 1}, {"0.002", 1}, {"null", 1}}));
}

TEST(Histogram, PlacesQuantilesWithinTheirBucket) {
  Histogram h;
  for (int i = 0; i < 99; ++i) {
    h.add(15 * kMs);  // in 10 to 20
  }
  h.add(900 * kMs);  // in 500 to 1000
  EXPECT_NEAR(static_cast<double>(h.quantile(0.495)), 15e6, 1);
  EXPECT_NEAR(static_cast<double>(h.quantile(0.99)), 20e6, 1);
  EXPECT_NEAR(static_cast<double>(h.quantile(0.995)), 750e6, 1);
  h.add(200'000 * kMs);
  EXPECT_EQ(h.quantile(1), Histogram::kUpTo.back());
}

struct Sums {
  double first, every;
  int firsts, everies;
  friend bool operator==(const Sums&, const Sums&) = default;
};
Sums sums(const ReloadTimes& times) {
  const nlohmann::json said = times.as_json();
  return {said["first_worker"]["sum_s"], said["every_worker"]["sum_s"],
          said["first_worker"]["count"], said["every_worker"]["count"]};
}

TEST(ReloadTimes, MeasuresToTheFirstAndToTheLastWorkerThatTakesItUp) {
  ReloadTimes times;
  const auto look = [&](std::vector<Worker::Taken> workers) { times.look(workers); };
  look({{1, 5 * kMs}, {1, 6 * kMs}});
  EXPECT_EQ(sums(times), (Sums{0, 0, 0, 0})) << "the generation of the start is no reload";
  times.published(100 * kMs, 2);
  look({{1, 5 * kMs}, {1, 6 * kMs}});
  EXPECT_EQ(sums(times), (Sums{0, 0, 0, 0}));
  look({{2, 130 * kMs}, {1, 6 * kMs}});
  look({{2, 130 * kMs}, {1, 6 * kMs}});
  EXPECT_EQ(sums(times), (Sums{0.03, 0, 1, 0}));
  look({{2, 130 * kMs}, {2, 150 * kMs}});
  look({{2, 130 * kMs}, {2, 150 * kMs}});
  EXPECT_EQ(sums(times), (Sums{0.03, 0.05, 1, 1}));
}

TEST(ReloadTimes, MembersThatChangeInPlaceCountFromWhenTheyHave) {
  ReloadTimes times;
  times.published(100 * kMs, 2);
  times.settled(140 * kMs);
  times.look(std::vector<Worker::Taken>{{2, 130 * kMs}, {2, 150 * kMs}});
  EXPECT_EQ(sums(times), (Sums{0.04, 0.05, 1, 1}));
  times.published(200 * kMs, 3);
  times.look(std::vector<Worker::Taken>{{3, 230 * kMs}, {3, 230 * kMs}});
  EXPECT_EQ(sums(times), (Sums{0.07, 0.08, 2, 2})) << "and the next has no such";
}

TEST(ReloadTimes, FollowsTheNextReloadWhenOneWorkerSkippedTheLast) {
  ReloadTimes times;
  times.published(100 * kMs, 2);
  times.look(std::vector<Worker::Taken>{{2, 110 * kMs}, {1, 6 * kMs}});
  times.published(200 * kMs, 3);
  times.look(std::vector<Worker::Taken>{{3, 240 * kMs}, {3, 250 * kMs}});
  EXPECT_EQ(sums(times), (Sums{0.05, 0.05, 2, 1}));
}

}  // namespace
}  // namespace sluice::control
