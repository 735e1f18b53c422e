//! Reaches a machine: an SSH session with a pinned host key, and the agent behind it.
