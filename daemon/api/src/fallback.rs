//! What is no route, or not with this method.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use utoipa::openapi::PathItem;

use crate::problem::Problem;

/// Answers whatever no route took: 405 where the path is one of the contract's, 404 elsewhere.
pub(crate) async fn answer(request: HttpRequest) -> HttpResponse {
    let methods = methods_of(request.path());
    if methods.is_empty() {
        return Problem::not_found("route", format_args!("{} {}", request.method(), request.path()))
            .error_response();
    }
    let allowed = methods.into_iter().collect::<Vec<_>>().join(", ");
    let detail = format!("this has the methods {allowed}");
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut response =
        Problem::new(status, "method-not-allowed", "Method not allowed", detail).error_response();
    if let Ok(allowed) = header::HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// The methods of the contract's routes that a path is one of.
fn methods_of(path: &str) -> BTreeSet<&'static str> {
    static ROUTES: OnceLock<Vec<(String, BTreeSet<&'static str>)>> = OnceLock::new();
    let routes = ROUTES.get_or_init(|| {
        crate::contract().paths.paths.into_iter().map(|(template, item)| (template, methods(&item))).collect()
    });
    let matching = routes.iter().filter(|(template, _)| is_of(path, template));
    matching.flat_map(|(_, methods)| methods).copied().collect()
}

fn methods(item: &PathItem) -> BTreeSet<&'static str> {
    let known = [("GET", &item.get), ("POST", &item.post), ("PUT", &item.put), ("DELETE", &item.delete)];
    known.into_iter().filter(|(_, operation)| operation.is_some()).map(|(name, _)| name).collect()
}

fn is_of(path: &str, template: &str) -> bool {
    let (mut path, mut template) = (path.split('/'), template.split('/'));
    loop {
        match (path.next(), template.next()) {
            (None, None) => return true,
            (Some(segment), Some(wanted)) if wanted.starts_with('{') || segment == wanted => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_contract_name_their_methods() {
        assert_eq!(methods_of("/v1/tenants/acme"), BTreeSet::from(["DELETE", "GET", "PUT"]));
        assert_eq!(methods_of("/v1/tenants"), BTreeSet::from(["GET", "POST"]));
        assert!(methods_of("/v1/tenants/acme/x").is_empty() && methods_of("/").is_empty());
    }
}
