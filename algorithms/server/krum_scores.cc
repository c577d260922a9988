#include "fedmeta/algorithms/server/krum_scores.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "fedmeta/algorithms/server/distances.h"

namespace fedmeta {

std::vector<std::size_t> RankByKrum(Updates updates, std::size_t byzantine) {
  const std::size_t n = updates.size(), nearest = n - byzantine - 2;
  const std::vector<double> distances = SquaredDistances(updates);
  std::vector<double> scores(n);
  std::vector<double> others;
  for (std::size_t k = 0; k < n; ++k) {
    const auto row = std::span(distances).subspan(k * n, n);
    others.assign(row.begin(), row.end());
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(k));
    std::sort(others.begin(), others.end());
    scores[k] =
        std::accumulate(others.begin(), others.begin() + static_cast<std::ptrdiff_t>(nearest), 0.0);
  }
  std::vector<std::size_t> places(n);
  std::iota(places.begin(), places.end(), std::size_t{0});
  std::stable_sort(places.begin(), places.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
  return places;
}

}  // namespace fedmeta
