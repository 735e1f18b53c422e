//! Query strings, read so that a mistake becomes a problem.

use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;

use crate::problem::Problem;
use crate::shape;

/// A request's query string.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T> Deref for Query<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = form_urlencoded::parse(request.query_string().as_bytes());
        let read = serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs));
        ready(read.map(Self).map_err(|error| {
            let path = error.path().clone();
            Problem::from(shape::mistake(&path, &error.into_inner().to_string()))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paging::Paging;
    use actix_web::test::TestRequest;

    fn refused(query: &str) -> (String, String) {
        let request = TestRequest::with_uri(&format!("/x?{query}")).to_http_request();
        let problem = Query::<Paging>::from_request(&request, &mut Payload::None).into_inner().unwrap_err();
        (problem.errors[0].field.clone(), problem.errors[0].rule.clone())
    }

    #[test]
    fn a_mistake_names_its_parameter() {
        assert_eq!(refused("limit=x"), ("/limit".into(), "type".into()));
        assert_eq!(refused("limit=-1"), ("/limit".into(), "type".into()));
        assert_eq!(refused("nope=1"), ("/nope".into(), "unknown-field".into()));
        assert_eq!(refused("after=a&after=b"), ("/after".into(), "duplicate".into()));
    }
}
