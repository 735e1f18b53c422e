//! restic's REST protocol (<https://restic.readthedocs.io/en/stable/100_references.html>, “REST Backend”), versions 1 and 2,
//! as rest-server answers it.

mod admitted;
mod answer;
mod objects;
mod repository;

pub(crate) use admitted::credentials;

use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{Resource, Scope};

use crate::vault::Vault;

/// Where repositories are found.
const ROOT: &str = "/vault/{repository}";

/// Answers `/vault/{repository}/…`, for `App::configure`.
pub fn routes(vault: Vault) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        config.service(scope(vault));
    }
}

/// The same as a service.
pub fn scope(vault: Vault) -> Scope {
    scope_below("", vault)
}

/// The same below a path, which may have parameters of its own.
pub fn scope_below(path: &str, vault: Vault) -> Scope {
    web::scope(&format!("{path}{ROOT}"))
        .app_data(Data::new(vault))
        .service(
            resource(&["", "/"])
                .route(web::post().to(repository::create))
                .route(web::delete().to(repository::refuse_removal)),
        )
        .service(
            resource(&["/config"])
                .route(web::head().to(objects::look_config))
                .route(web::get().to(objects::read_config))
                .route(web::post().to(objects::add_config))
                .route(web::delete().to(objects::remove_config)),
        )
        .service(resource(&["/{kind}/"]).route(web::get().to(repository::list)))
        .service(
            resource(&["/{kind}/{name}"])
                .route(web::head().to(objects::look))
                .route(web::get().to(objects::read))
                .route(web::post().to(objects::add))
                .route(web::delete().to(objects::remove)),
        )
        .default_service(web::to(repository::nothing))
}

fn resource(paths: &[&str]) -> Resource {
    web::resource(paths.to_vec()).default_service(web::to(repository::no_such_method))
}
