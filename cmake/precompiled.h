// The one precompiled header, shared by all LibTorch targets. <torch/torch.h> stays out: 31 s of CPU.
#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>
