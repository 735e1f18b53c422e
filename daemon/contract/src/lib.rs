//! The bodies of the deployment API that are not the domain's own: answers around a draft, requests for tokens and
//! links, pages, problems. The daemon writes them and the typed client reads them, so that neither can drift.
//!
//! | module | subject |
//! | --- | --- |
//! | [`nixops4`] | what NixOps4 knows of a tenant's resources |
//! | [`page`] | a page of any list |
//! | [`patch`] | what is to differ of a tenant's services |
//! | [`problem`] | why a request was refused |
//! | [`resources`] | what the routes answer with |
//! | [`requests`] | what they take, beside the domain's drafts |

pub mod nixops4;
pub mod page;
pub mod patch;
pub mod problem;
pub mod requests;
pub mod resources;

pub use page::Page;
pub use patch::ServicesPatch;
pub use problem::Problem;
pub use requests::{
    BroughtSecret, NewAbortion, NewAcceptance, NewBundle, NewCancellation, NewCheck, NewDeployment, NewDrill,
    NewExport, NewImport, NewMigration, NewReboot, NewRestore, NewRollback, NewSnapshot, NewTicket, NewToken,
    NewVaultImport, NewVaultLook, NewWatchLink, NewWish, RepositoryPlace, S3Place,
};
pub use resources::{
    Configuration, IssuedTicket, IssuedToken, Machine, Platform, Provider, RevisionInfo, Service, Tenant,
    TenantBackups, TokenInfo, WatchLink,
};
