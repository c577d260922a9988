#pragma once

#include <string_view>

namespace fedmeta {

/// load.py: reads the .safetensors files beside it with the Python standard library and PyTorch
/// alone. Run folders and adapted models carry it.
std::string_view LoadScript();

}  // namespace fedmeta
