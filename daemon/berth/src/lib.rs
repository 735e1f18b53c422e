//! The command line, the typed API client and the demo.
