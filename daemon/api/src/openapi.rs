//! The contract: OpenAPI 3.1, collected from the routes.

use std::collections::BTreeMap;

use berth_contract::Problem;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder,
};
use utoipa::openapi::{Ref, RefOr, Response, ResponseBuilder, ServerBuilder};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

/// The scheme's name in every route's `security`. What a route needs stands there too: `authenticated` is any token,
/// `tenant:read` and `tenant:write` a token of that tenant or more, `operator`, `admin`.
const BEARER: &str = "bearer";

/// The scheme of what a source says to a target: there, no API token opens anything.
const TICKET: &str = "ticket";

/// How any route of `/v1` may refuse a request.
pub struct Refusals;

const REFUSALS: [(&str, &str); 11] = [
    ("400", "The request cannot be read"),
    ("401", "No valid token"),
    ("403", "The token does not open this"),
    ("404", "There is no such thing, or the token may not know of it"),
    ("409", "It collides with what is there"),
    ("413", "The body is too large"),
    ("415", "The body is not `application/json`"),
    ("422", "Fields break rules; `errors` names each with its rule"),
    ("429", "Too many wrong tokens from this address; `Retry-After` tells when to try again"),
    ("500", "A fault of the daemon's own; its log says more"),
    ("503", "The daemon is about to stop, or its database does not answer"),
];

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        REFUSALS
            .into_iter()
            .map(|(status, description)| {
                let schema = Ref::from_schema_name(Problem::name());
                let content = ContentBuilder::new().schema(Some(schema)).build();
                let response = ResponseBuilder::new().description(description);
                (status.to_owned(), response.content("application/problem+json", content).build().into())
            })
            .collect()
    }
}

/// The contract's head; the routes add themselves.
pub fn head() -> OpenApi {
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    let scheme = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("berth_<id>_<secret>")
        .description(Some("A token as POST /v1/tokens issues it."))
        .build();
    let ticket = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The token of a ticket that was issued for this very transfer."))
        .build();
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(BEARER, SecurityScheme::Http(scheme))
        .security_scheme(TICKET, SecurityScheme::Http(ticket));
    let license =
        LicenseBuilder::new().name("AGPL-3.0-or-later").identifier(Some("AGPL-3.0-or-later")).build();
    let info = InfoBuilder::new()
        .title("Berth")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Deploys and moves tenants of a Fediverse hosting provider."))
        .license(Some(license))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new().url("/").build()]))
        .components(Some(components.build()))
        .build()
}
