//! Boots real machines (systemd, sshd, Nix) on one Linux host, for the demo and the tests.
