//! What this provider says and decides as a target of migrations, and of bundles.
//!
//! | module | subject |
//! | --- | --- |
//! | `preflight` | what keeps a tenant from coming here |
//! | `bundle` | the same of one that a bundle holds |
//! | `answer` | how a ticket stands, signed, for the source |
//! | `bearer` | who presents a ticket |

mod answer;
mod bearer;
mod bundle;
mod preflight;

pub(crate) use answer::answer;
pub(crate) use bearer::Bearer;
pub(crate) use bundle::examine_bundle;
pub(crate) use preflight::examine;
