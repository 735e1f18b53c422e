//! End-to-end scenarios on real machines, and benchmarks.
