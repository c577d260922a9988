#pragma once

#include <cstddef>
#include <cstdint>

namespace fedmeta {

inline constexpr std::size_t kMaximumNameBytes = 256;
inline constexpr std::size_t kMaximumPlanBytes = 64 * 1024;
inline constexpr std::size_t kMaximumAssignmentBytes = 256 * 1024;
inline constexpr std::size_t kPieceBytes = 1024 * 1024;  ///< largest piece of a stream
inline constexpr std::size_t kMaximumMessageBytes = kPieceBytes + 64 * 1024;
inline constexpr std::size_t kMaximumEvaluationCells =
    4096;  ///< shots x learning rates x steps of one plan

inline constexpr std::uint32_t kMaximumEvaluationSteps = 100'000;
inline constexpr std::uint32_t kMaximumEpisodes = 100'000;
inline constexpr std::uint64_t kMaximumDeadlineMs = std::uint64_t{366} * 24 * 3600 * 1000;

}  // namespace fedmeta
