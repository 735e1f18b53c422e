//! A tenant as the files of a Nix flake. No I/O.
//!
//! [`render()`] turns a checked tenant and its machine into three files that stand on their own: `nix build`,
//! `nixos-rebuild` and every other flake tool accept them without Berth.
//!
//! | file | content |
//! | --- | --- |
//! | `flake.nix` | fixed text but for the pinned reference to the platform |
//! | `tenant.nix` | pure data below `berth.tenant`; `null` on a vacant machine |
//! | `machine.nix` | pure data below `berth.machine` |
//!
//! Nothing is formatted into Nix by putting strings together. A value becomes a node of a small syntax tree, whose
//! literals cannot hold what Nix cannot hold, and one printer writes the tree. The test `round_trip` asks the real
//! `nix` whether every printed value comes back as it was. The same input always gives the same bytes, and the
//! revision's id is their hash.
//!
//! | module | subject |
//! | --- | --- |
//! | [`mod@render`] | the three files |
//! | [`mod@batch`] | many tenants as one flake |
//! | [`pin`] | the reference to the platform |
//! | [`named`] | which platform a rendered flake names |
//! | [`revision`] | the hash of a set of files |
//! | [`setting`] | settings as syntax |
//! | [`syntax`] | the part of the Nix language that is used here, as a tree |
//! | [`mod@print`] | the printer |

pub mod batch;
pub mod named;
pub mod pin;
pub mod print;
pub mod render;
pub mod revision;
pub mod setting;
pub mod syntax;

pub use batch::batch;
pub use named::platform_of;
pub use pin::PlatformPin;
pub use render::{RenderError, RenderInput, RenderMachine, RenderSsh, Rendered, Tls, render};
pub use revision::revision_id;
pub use syntax::LiteralError;
