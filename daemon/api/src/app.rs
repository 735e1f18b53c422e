//! The application: routes, limits, and what every answer carries.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{DefaultHeaders, Next, from_fn};
use actix_web::web::{self, Data};
use actix_web::{App, Error};
use utoipa::openapi::OpenApi;
use utoipa_actix_web::AppExt;
use utoipa_swagger_ui::SwaggerUi;

use crate::routes::transfers;
use crate::state::Api;
use crate::{body, fallback, openapi, routes};

/// The contract.
pub fn contract() -> OpenApi {
    App::new().into_utoipa_app().openapi(openapi::head()).configure(routes::all).split_for_parts().1
}

/// The application over its state.
pub fn app(
    api: Data<Api>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let vault = api.vault.clone();
    let vaults = |config: &mut web::ServiceConfig| {
        if let Some(vault) = vault {
            config.service(berth_vault::scope_below(transfers::OFFER, vault));
        }
    };
    let (app, contract) = App::new()
        .configure(vaults)
        .into_utoipa_app()
        .openapi(openapi::head())
        .configure(routes::all)
        .split_for_parts();
    app.app_data(api)
        .app_data(body::limit())
        .service(SwaggerUi::new("/docs/{_:.*}").url("/openapi.json", contract))
        .service(web::redirect("/docs", "/docs/"))
        .default_service(web::to(fallback::answer))
        .wrap(from_fn(counted))
        .wrap(DefaultHeaders::new().add(("X-Content-Type-Options", "nosniff")))
}

/// Counts answers.
async fn counted(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let method = request.method().clone();
    let api = request.app_data::<Data<Api>>().cloned();
    let response = next.call(request).await?;
    if let Some(api) = api {
        api.metrics.answered(&method, response.status().as_u16());
    }
    Ok(response)
}
