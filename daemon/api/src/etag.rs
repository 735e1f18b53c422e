//! Two writers, no lost update: a tenant's `ETag` is its version, and `If-Match` names the one that was read.

use actix_web::HttpRequest;
use actix_web::http::header;

use crate::problem::Problem;

/// The `ETag` of a version.
pub fn of(version: i64) -> String {
    format!("\"{version}\"")
}

/// What a writer says of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// Nothing was said.
    None,
    /// `If-Match: *`: it exists, whatever its version.
    Exists,
    /// `If-Match: "7"`.
    Version(i64),
}

/// Reads `If-Match`.
///
/// # Errors
/// A problem of status 400 for a header that no `ETag` of this API can be.
pub fn expectation(request: &HttpRequest) -> Result<Expectation, Problem> {
    let Some(value) = request.headers().get(header::IF_MATCH) else { return Ok(Expectation::None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(Expectation::Exists);
    }
    let version = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|v| v.parse().ok());
    version.map(Expectation::Version).ok_or_else(|| {
        Problem::bad_request("If-Match must be the ETag of an earlier answer, such as \"7\", or *")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn an_etag_comes_back_as_the_version_that_it_was_made_of() {
        let of_header = |value: &str| {
            expectation(&TestRequest::default().insert_header((header::IF_MATCH, value)).to_http_request())
        };
        assert_eq!(of_header(&of(7)).unwrap(), Expectation::Version(7));
        assert_eq!(of_header("*").unwrap(), Expectation::Exists);
        assert_eq!(expectation(&TestRequest::default().to_http_request()).unwrap(), Expectation::None);
        for bad in ["7", "W/\"7\"", "\"x\"", "\"1\", \"2\"", ""] {
            assert_eq!(of_header(bad).unwrap_err().status, 400, "{bad}");
        }
    }
}
