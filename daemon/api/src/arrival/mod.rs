//! What this provider says and decides as a target of migrations, and of bundles.
//!
//! | module | subject |
//! | --- | --- |
//! | `acceptance` | what was claimed is accepted: by a person, or by itself where it comes back |
//! | `way_back` | the ticket with which a tenant goes back to where it came from |
//! | `preflight` | what keeps a tenant from coming here |
//! | `bundle` | the same of one that a bundle holds |
//! | `answer` | how a ticket stands, signed, for the source |
//! | `bearer` | who presents a ticket |

mod acceptance;
mod answer;
mod bearer;
mod bundle;
mod preflight;
mod way_back;

pub(crate) use acceptance::{accepted, begun, come_back, still_ending};
pub(crate) use answer::answer;
pub(crate) use bearer::Bearer;
pub(crate) use bundle::examine_bundle;
pub(crate) use preflight::examine;
pub(crate) use way_back::{ticket_back, way_back};
