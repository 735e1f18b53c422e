//! Who is let in: asked before anything else of a request is looked at.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::SecretString;

use crate::access::{Access, Caller, Credentials, Mode};
use crate::name::RepositoryName;
use crate::object::Key;
use crate::refused::Refused;
use crate::vault::Vault;

/// A caller who may use the repository of the address.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) vault: Vault,
    pub(super) repository: RepositoryName,
    pub(super) access: Access,
}

impl Admitted {
    /// # Errors
    /// The mode does not allow to add this.
    pub(super) fn may_add(&self, key: &Key) -> Result<(), Refused> {
        if self.access.mode.may_add(key) { Ok(()) } else { Err(Refused::ReadOnly) }
    }

    /// # Errors
    /// The mode does not allow to remove this.
    pub(super) fn may_remove(&self, key: &Key) -> Result<(), Refused> {
        match self.access.mode {
            mode if mode.may_remove(key) => Ok(()),
            Mode::ReadOnly => Err(Refused::ReadOnly),
            Mode::AppendOnly | Mode::Full => Err(Refused::AppendOnly),
        }
    }
}

impl FromRequest for Admitted {
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refused>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let vault = request.app_data::<Data<Vault>>().map(|vault| Vault::clone(vault));
        let name = request.match_info().get("repository").and_then(|name| name.parse().ok());
        let credentials = credentials(request.headers());
        let peer = request.peer_addr().map(|address| address.ip());
        Box::pin(async move {
            let vault = vault.ok_or(Refused::NobodyAdmitted)?;
            // A name that cannot be is refused as a wrong token is: who may not come in learns nothing.
            let repository: RepositoryName = name.ok_or(Refused::Unauthorized)?;
            let access = vault.inner.gate.admit(&repository, &Caller { credentials, peer }).await?;
            Ok(Self { vault, repository, access })
        })
    }
}

/// What came by HTTP Basic authentication (RFC 7617).
pub(crate) fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Credentials { user: user.to_owned(), password: SecretString::from(password) })
}
