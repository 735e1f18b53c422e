//! The daemon's main: configuration and wiring, nothing else.
