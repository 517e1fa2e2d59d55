#pragma once

namespace nodeplane {

// Two threads, one on each core, bounce one cache line for about two milliseconds: nanoseconds there
// and back, the median of many short series. Virtual machines are moved between core complexes
// while they run, and everything that two cores do together follows this figure. 0: the cores are
// not both to be had, or somebody else had one of them all the time.
double core_round_trip(int core, int other) noexcept;

}  // namespace nodeplane
