//! Refusals as responses: short plain text. restic shows the status line and not the body, so that the text stands in both.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};

use crate::refused::Refused;

impl Refused {
    /// The status, and the text as it may stand in a status line.
    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "A Valid Token Of This Repository Is Needed"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "The Token Is Not For This Repository"),
            Self::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "Too Many Wrong Tokens"),
            Self::NobodyAdmitted => (StatusCode::SERVICE_UNAVAILABLE, "Nobody Can Be Admitted Now"),
            Self::ReadOnly => (StatusCode::FORBIDDEN, "This Access Only Reads"),
            Self::AppendOnly => (StatusCode::FORBIDDEN, "This Access Only Adds"),
            Self::NotRemovable => (StatusCode::FORBIDDEN, "A Repository Is Not Removed This Way"),
            Self::ThereAlready => (StatusCode::FORBIDDEN, "There Is Another One Already"),
            Self::NotFound => (StatusCode::NOT_FOUND, "Not Found"),
            Self::BadName => (StatusCode::BAD_REQUEST, "This Name Cannot Be"),
            Self::NotCreate => (StatusCode::BAD_REQUEST, "?create=true Is Needed"),
            Self::NoSuchMethod => (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"),
            Self::WrongSum => (StatusCode::BAD_REQUEST, "The Content Does Not Have The Sum That Is Its Name"),
            Self::Cut => (StatusCode::BAD_REQUEST, "The Upload Broke Off"),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "The Upload Was Too Slow"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Larger Than What Is Kept Here"),
            Self::QuotaReached => (StatusCode::INSUFFICIENT_STORAGE, "The Repository Has Reached Its Quota"),
            Self::NoSpace => (StatusCode::INSUFFICIENT_STORAGE, "The Provider's Storage Is Full"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "Too Many Uploads Are Under Way"),
            Self::OutOfRange { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "Range Not Satisfiable"),
            Self::Storage(_) => (StatusCode::INTERNAL_SERVER_ERROR, "The Provider's Storage Fails"),
        }
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        self.status().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, reason) = self.status();
        match self {
            Self::Storage(error) => tracing::error!(%error, "the vault's storage fails"),
            Self::NoSpace => tracing::error!("the vault's storage is full"),
            refused => tracing::debug!(%refused, "a request to the vault is refused"),
        }
        let mut response = HttpResponse::build(status);
        response.reason(reason).content_type("text/plain; charset=utf-8");
        match self {
            Self::Unauthorized => {
                response
                    .insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"vault\", charset=\"UTF-8\""));
            }
            Self::TooMany(wait) => {
                response.insert_header((header::RETRY_AFTER, wait.as_secs().max(1)));
            }
            Self::OutOfRange { size } => {
                response.insert_header((header::CONTENT_RANGE, format!("bytes */{size}")));
            }
            _ => {}
        }
        response.body(format!("{self}\n"))
    }
}
