//! What a request that creates something is answered with, so that the same answer can be given again.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// An answer as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    status: u16,
    location: Option<String>,
    etag: Option<String>,
    body: serde_json::Value,
}

impl Reply {
    /// `201 Created` with where it is.
    ///
    /// # Errors
    /// None of the API's bodies can fail to be serialised; if one does, a problem of status 500.
    pub fn created(location: String, body: &impl Serialize) -> Result<Self, Problem> {
        Self::new(StatusCode::CREATED, Some(location), body)
    }

    /// `200 OK`: it was done while the caller waited.
    ///
    /// # Errors
    /// As [`Reply::created`].
    pub fn done(body: &impl Serialize) -> Result<Self, Problem> {
        Self::new(StatusCode::OK, None, body)
    }

    /// `202 Accepted` with where to look.
    ///
    /// # Errors
    /// As [`Reply::created`].
    pub fn accepted(location: String, body: &impl Serialize) -> Result<Self, Problem> {
        Self::new(StatusCode::ACCEPTED, Some(location), body)
    }

    fn new(status: StatusCode, location: Option<String>, body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_value(body).map_err(Problem::internal)?;
        Ok(Self { status: status.as_u16(), location, etag: None, body })
    }

    /// The same with an `ETag`.
    #[must_use]
    pub fn tagged(mut self, etag: String) -> Self {
        self.etag = Some(etag);
        self
    }

    /// The response.
    pub fn response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK));
        if let Some(location) = &self.location {
            response.insert_header((header::LOCATION, location.as_str()));
        }
        if let Some(etag) = &self.etag {
            response.insert_header((header::ETAG, etag.as_str()));
        }
        response.json(&self.body)
    }
}
