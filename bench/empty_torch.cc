// What loading LibTorch costs: a program that makes one tensor.
#include <ATen/ATen.h>

int main() { return at::empty({1}).numel() == 1 ? 0 : 1; }
