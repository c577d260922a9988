// LibTorch runs on one thread in this binary: beside busy processes two OpenMP threads slow a small
// convolution tenfold.
#include <gtest/gtest.h>

#include "fedmeta/algorithms/meta/libtorch_process.h"

namespace fedmeta {
namespace {

class OneThreadEnvironment : public testing::Environment {
 public:
  void SetUp() override { UseOneLibtorchThread(); }
};

const testing::Environment* const kOneThread =
    testing::AddGlobalTestEnvironment(new OneThreadEnvironment);

}  // namespace
}  // namespace fedmeta
