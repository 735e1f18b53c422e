//! A tenant as the files of a Nix flake. No I/O.
