//! Drives the nix command and reads its log as typed progress.
