#include "fedmeta/site/proposal.h"

#include "site_fixtures.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fedmeta/protocol/limits.h"

namespace fedmeta {
namespace {

using testing::HasSubstr;

std::string ErrorOf(const std::string& offer, std::vector<std::string> assignments) {
  const auto proposal = Proposal::Create(offer, std::move(assignments));
  return proposal.ok() ? "" : proposal.error().message();
}

TEST(ProposalTest, ItsHashCoversEveryAssignment) {
  Offering offering;
  const Digest before = offering.Make().hash;
  offering.assignments[1].set_seed(8);
  EXPECT_NE(offering.Make().hash, before);
}

TEST(ProposalTest, RefusesAnotherAssignmentThanItNames) {
  const Offering offering;
  auto assignments = offering.AssignmentBytes();
  std::swap(assignments[0], assignments[1]);
  EXPECT_THAT(ErrorOf(offering.OfferBytes(), assignments), HasSubstr("not the one that it names"));
  EXPECT_THAT(ErrorOf(offering.OfferBytes(), {}), HasSubstr("missing"));
}

TEST(ProposalTest, RefusesAnAssignmentOfAnotherExperiment) {
  Offering offering;
  offering.assignments[0].set_experiment("lung");
  EXPECT_THAT(ErrorOf(offering.OfferBytes(), offering.AssignmentBytes()),
              HasSubstr("not the one that it names"));
}

TEST(ProposalTest, RefusesWhatIsNoOffer) {
  EXPECT_THAT(Proposal::ParseOffer("").error().message(), HasSubstr("same release"));
  EXPECT_FALSE(Proposal::ParseOffer("\xff\xff").ok());
  Offering offering;
  offering.offer.mutable_legs(0)->set_experiment("lung/maml");
  EXPECT_THAT(Proposal::ParseOffer(offering.OfferBytes()).error().message(),
              HasSubstr("does not belong to heart"));
  v1::Offer empty;
  empty.set_experiment("heart");
  EXPECT_THAT(Proposal::ParseOffer(empty.SerializeAsString()).error().message(),
              HasSubstr("no legs"));
}

TEST(ProposalTest, RefusesSizesBeyondAllBounds) {
  v1::Offer offer;
  offer.ParseFromString(Offering().OfferBytes());
  offer.mutable_legs(0)->set_assignment_size(kMaximumAssignmentBytes + 1);
  EXPECT_FALSE(Proposal::ParseOffer(offer.SerializeAsString()).ok());
  offer.mutable_legs(0)->set_assignment_size(kMaximumAssignmentBytes);
  EXPECT_TRUE(Proposal::ParseOffer(offer.SerializeAsString()).ok());
  for (int i = 0; i < 100; ++i) *offer.add_legs() = offer.legs(0);
  EXPECT_THAT(Proposal::ParseOffer(offer.SerializeAsString()).error().message(),
              HasSubstr("too large"));
}

}  // namespace
}  // namespace fedmeta
