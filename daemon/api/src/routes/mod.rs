//! The routes, a file per resource, a function per route: parse, authorise, one call, respond.

pub mod backups;
pub mod bundles;
pub mod checks;
pub mod configuration;
pub mod deployments;
pub mod drills;
pub mod events;
pub mod exports;
pub mod machines;
pub mod migration;
pub mod nixops4;
pub mod open;
pub mod operations;
pub mod previews;
pub mod provider;
pub mod reboot;
pub mod rollback;
pub mod rollouts;
pub mod services;
pub mod snapshots;
pub mod tenants;
pub mod tickets;
pub mod tokens;
pub mod transfers;
pub mod vaults;
pub mod watch;

use actix_web::middleware::from_fn;
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth;

/// Every route of the contract.
pub fn all(config: &mut ServiceConfig<'_>) {
    // What a ticket opens, a token does not need to.
    config.service(scope("/v1/transfers").app_data(transfers::limit()).configure(transfers::routes));
    config.service(scope("/v1").configure(v1).wrap(from_fn(auth::authenticated)));
    open::routes(config);
    watch::pages(config);
}

fn v1(config: &mut ServiceConfig<'_>) {
    provider::routes(config);
    services::routes(config);
    machines::routes(config);
    tenants::routes(config);
    configuration::routes(config);
    deployments::routes(config);
    previews::routes(config);
    rollback::routes(config);
    reboot::routes(config);
    checks::routes(config);
    snapshots::routes(config);
    backups::routes(config);
    drills::routes(config);
    exports::routes(config);
    bundles::routes(config);
    vaults::routes(config);
    migration::routes(config);
    tickets::routes(config);
    operations::routes(config);
    events::routes(config);
    nixops4::routes(config);
    rollouts::routes(config);
    watch::routes(config);
    tokens::routes(config);
}
