//! The routes, a file per resource, a function per route: parse, authorise, one call, respond.

pub mod configuration;
pub mod deployments;
pub mod events;
pub mod machines;
pub mod nixops4;
pub mod open;
pub mod operations;
pub mod previews;
pub mod provider;
pub mod services;
pub mod tenants;
pub mod tokens;
pub mod watch;

use actix_web::middleware::from_fn;
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth;

/// Every route of the contract.
pub fn all(config: &mut ServiceConfig<'_>) {
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
    operations::routes(config);
    events::routes(config);
    nixops4::routes(config);
    watch::routes(config);
    tokens::routes(config);
}
