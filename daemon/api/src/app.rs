//! The application: routes, limits, and what every answer carries.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::{DefaultHeaders, Next, from_fn};
use actix_web::web::{self, Data};
use actix_web::{App, Error, HttpRequest, HttpResponse};
use utoipa::openapi::OpenApi;
use utoipa_actix_web::AppExt;
use utoipa_swagger_ui::SwaggerUi;

use crate::problem::Problem;
use crate::state::Api;
use crate::{body, openapi, routes};

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
    let (app, contract) =
        App::new().into_utoipa_app().openapi(openapi::head()).configure(routes::all).split_for_parts();
    app.app_data(api)
        .app_data(body::limit())
        .service(SwaggerUi::new("/docs/{_:.*}").url("/openapi.json", contract))
        .service(web::redirect("/docs", "/docs/"))
        .default_service(web::to(nothing_here))
        .wrap(from_fn(counted))
        .wrap(DefaultHeaders::new().add(("X-Content-Type-Options", "nosniff")))
}

/// A path that is no route, or a method that its route does not have.
async fn nothing_here(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::not_found("route", format_args!("{} {}", request.method(), request.path())))
}

/// Counts answers, and makes problems of refusals that are none yet.
async fn counted(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let method = request.method().clone();
    let api = request.app_data::<Data<Api>>().cloned();
    let response = next.call(request).await?.map_into_boxed_body();
    let status = response.status();
    if let Some(api) = api {
        api.metrics.answered(&method, status.as_u16());
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let problem =
            Problem::new(status, "method-not-allowed", "Method not allowed", "this route has other methods");
        let allowed = response.headers().get(actix_web::http::header::ALLOW).cloned();
        let mut answer = actix_web::ResponseError::error_response(&problem);
        if let Some(allowed) = allowed {
            answer.headers_mut().insert(actix_web::http::header::ALLOW, allowed);
        }
        return Ok(response.into_response(answer));
    }
    Ok(response)
}
