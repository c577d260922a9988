// Owns the precompiled header that LibTorch targets reuse.
