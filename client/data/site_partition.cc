#include "fedmeta/client/data/site_partition.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "fedmeta/client/data/source.h"

namespace fedmeta {
namespace {

class SitePartition final : public Partition {
 public:
  explicit SitePartition(std::vector<SiteDataset> sites) : sites_(std::move(sites)) {
    // Roles are numbered in this order.
    std::sort(sites_.begin(), sites_.end(), [](const SiteDataset& a, const SiteDataset& b) {
      return std::tie(a.role, a.name) < std::tie(b.role, b.name);
    });
    for (const SiteDataset& site : sites_) views_.push_back(WholeView(site.dataset));
  }

  std::size_t clients() const override { return sites_.size(); }
  std::string name(std::size_t client) const override { return sites_[client].name; }
  v1::Role role(std::size_t client) const override { return sites_[client].role; }
  Result<DatasetView> view(std::size_t client) const override { return views_[client]; }
  std::int64_t largest_label_set() const override {
    std::int64_t largest = 0;
    for (const SiteDataset& site : sites_) largest = std::max(largest, site.dataset->classes());
    return largest;
  }

 private:
  std::vector<SiteDataset> sites_;
  std::vector<DatasetView> views_;
};

}  // namespace

std::unique_ptr<Partition> MakeSitePartition(std::vector<SiteDataset> sites) {
  return std::make_unique<SitePartition>(std::move(sites));
}

}  // namespace fedmeta
