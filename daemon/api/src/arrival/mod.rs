//! What this provider says and decides as a target of migrations, of bundles, and of repositories that are left of a provider.
//!
//! | module | subject |
//! | --- | --- |
//! | `acceptance` | what was claimed is accepted: by a person, or by itself where it comes back |
//! | `way_back` | the ticket with which a tenant goes back to where it came from |
//! | `preflight` | what keeps a tenant from coming here |
//! | `changes` | what is to differ of its services, and everything that is in the way as one refusal |
//! | `wish` | how one is to be here that was brought otherwise, and what keeps it from that |
//! | `bundle` | the same of one that a bundle holds |
//! | `vault` | the same of one that a repository of snapshots holds |
//! | `buckets` | whether it has buckets for the objects that come with it |
//! | `again` | such a tenant is made, or an earlier try gone on with |
//! | `answer` | how a ticket stands, signed, for the source |
//! | `bearer` | who presents a ticket |

mod acceptance;
mod again;
mod answer;
mod bearer;
mod buckets;
mod bundle;
mod changes;
mod preflight;
mod vault;
mod way_back;
mod wish;

pub(crate) use acceptance::{accepted, begun, come_back, still_ending};
pub(crate) use again::{make, unused};
pub(crate) use answer::answer;
pub(crate) use bearer::Bearer;
pub(crate) use bundle::examine_bundle;
pub(crate) use changes::refused;
pub(crate) use preflight::examine;
pub(crate) use vault::{examine_vault, none, unread, unreadable};
pub(crate) use way_back::{ticket_back, way_back};
pub(crate) use wish::Wish;
