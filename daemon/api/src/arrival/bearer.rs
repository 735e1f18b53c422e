//! Who presents a ticket: its token, and a name for the question, which the answer repeats.

use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, dev};
use berth_domain::MigrationId;
use berth_sign::Sha256Hex;
use berth_store::{ArrivalRecord, StoreError};
use berth_transfer::client::NONCE;
use berth_transfer::token_fits;
use secrecy::SecretString;

use crate::problem::Problem;
use crate::state::Api;

/// The longest name of a question, in bytes.
const MAX_NONCE: usize = 64;

/// Whoever made the request has the ticket.
pub(crate) struct Bearer {
    /// The ticket as it stands.
    pub(crate) record: ArrivalRecord,
    /// What the question calls itself.
    pub(crate) nonce: String,
}

impl FromRequest for Bearer {
    type Error = Problem;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let api = request.app_data::<Data<Api>>().ok_or_else(|| Problem::internal("no state"))?;
            let outcome = read(api, &request).await;
            if matches!(&outcome, Err(problem) if problem.status == StatusCode::UNAUTHORIZED.as_u16()) {
                api.metrics.refused_logins.inc();
                api.throttle.failed_unless_blocked(request.peer_addr().map(|address| address.ip()))?;
            }
            outcome
        })
    }
}

async fn read(api: &Api, request: &HttpRequest) -> Result<Bearer, Problem> {
    // Whether there is such a ticket is told to nobody who does not have it.
    let refuse = || {
        let detail = "this needs the token of a ticket that was issued here";
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Not authenticated", detail)
    };
    let id = request.match_info().get("offer").and_then(|id| MigrationId::try_parse(id).ok());
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let token = header(header::AUTHORIZATION.as_str()).and_then(|text| text.split_once(' '));
    let token =
        token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let (Some(id), Some(token)) = (id, token) else { return Err(refuse()) };
    let record = match api.store().arrival(id).await {
        Ok(record) => record,
        Err(StoreError::NotFound { .. }) => return Err(refuse()),
        Err(error) => return Err(error.into()),
    };
    let kept: Sha256Hex = record.token_hash.parse().map_err(Problem::internal)?;
    if !token_fits(&SecretString::from(token), &kept) {
        return Err(refuse());
    }
    let good =
        |nonce: &&str| (1..=MAX_NONCE).contains(&nonce.len()) && nonce.bytes().all(|b| b.is_ascii_graphic());
    let nonce = header(NONCE).filter(good);
    let missing =
        || Problem::bad_request(format!("the header {NONCE} must hold 1 to {MAX_NONCE} visible characters"));
    Ok(Bearer { record, nonce: nonce.ok_or_else(missing)?.to_owned() })
}
