//! Which key the database is sealed to, and sealing it to another.
//!
//! Sealed are the secrets that customers gave, wherever a specification is kept (tenants, revisions, unfinished previews),
//! and all that NixOps4 knows. This module knows where they are; what seals them is the caller's.

use std::sync::Arc;

use berth_domain::{ServiceName, Setting, TenantSpec};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{from_json, json};
use crate::error::StoreError;
use crate::pool::Store;
use crate::presence::Alone as _;
use crate::run::{for_both, read, transact};
use crate::schema::{
    departures, nixops4_changes, nixops4_states, offsite_imports, previews, revisions, secrets_key, tenants,
    vaults,
};

/// The only row's id.
const ROW: i32 = 1;

/// Where something sealed stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealedPlace<'a> {
    /// A customer's secret.
    Secret {
        /// The tenant's name.
        tenant: &'a str,
        /// The service's name.
        service: &'a str,
        /// The setting's pointer within the service's settings.
        setting: &'a str,
        /// The number of the value.
        version: u64,
    },
    /// A tenant's state of NixOps4.
    Nixops4State {
        /// The tenant's name.
        tenant: &'a str,
        /// The serial of the change that led to it.
        serial: i64,
    },
    /// A change of such a state.
    Nixops4Change {
        /// The tenant's name.
        tenant: &'a str,
        /// Its serial.
        serial: i64,
    },
    /// The key that a vault is encrypted with.
    VaultKey {
        /// The vault's id.
        vault: &'a str,
    },
    /// The ticket that a tenant leaves with.
    Ticket {
        /// The operation's id.
        operation: &'a str,
    },
    /// Where a repository lies that a tenant is made of, and what opens it.
    Offsite {
        /// The operation's id.
        operation: &'a str,
    },
}

/// Seals something anew: where it stands, and what stands there. An error's text says why it cannot.
pub type Reseal = Arc<dyn Fn(&SealedPlace<'_>, &str) -> Result<String, String> + Send + Sync>;

impl Store {
    /// The public half of the key that the database is sealed to; nothing where no daemon ever used it.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn sealed_to(&self) -> Result<Option<String>, StoreError> {
        read!(self, conn => Ok(conn.recipient().await?))
    }

    /// Notes which key the database is sealed to, unless that is noted already; gives what is noted.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn note_sealed_to(&self, recipient: &str) -> Result<String, StoreError> {
        let recipient = recipient.to_owned();
        transact!(self, conn => {
            if let Some(noted) = conn.recipient().await? {
                return Ok(noted);
            }
            let row = (secrets_key::id.eq(ROW), secrets_key::recipient.eq(&recipient));
            diesel::insert_into(secrets_key::table).values(row).execute(conn).await?;
            Ok::<_, StoreError>(recipient.clone())
        })
    }

    /// Seals everything anew, in one transaction and without any daemon, and notes that it is sealed to `to` from now on.
    /// `from` is what it was noted to be sealed to. Gives how many sealed texts there are.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::SealedToAnother`], [`StoreError::Reseal`]
    pub async fn reseal(&self, from: Option<&str>, to: &str, reseal: Reseal) -> Result<usize, StoreError> {
        let (from, to) = (from.map(str::to_owned), to.to_owned());
        transact!(self, conn => {
            conn.alone().await?;
            let noted = conn.recipient().await?;
            if noted != from {
                return Err(StoreError::SealedToAnother { recipient: noted.unwrap_or_default() });
            }
            let names: Vec<String> = tenants::table.order(tenants::name).select(tenants::name).load(conn).await?;
            let mut count = 0;
            for name in names {
                count += conn.reseal_specs(&name, &reseal).await?;
                count += conn.reseal_nixops4(&name, &reseal).await?;
            }
            count += conn.reseal_vaults(&reseal).await?;
            count += conn.reseal_tickets(&reseal).await?;
            count += conn.reseal_offsite(&reseal).await?;
            diesel::delete(secrets_key::table).execute(conn).await?;
            let row = (secrets_key::id.eq(ROW), secrets_key::recipient.eq(&to));
            diesel::insert_into(secrets_key::table).values(row).execute(conn).await?;
            Ok(count)
        })
    }
}

/// Sealed texts within a transaction.
trait Sealed {
    async fn recipient(&mut self) -> QueryResult<Option<String>>;

    /// Seals what the specifications of a tenant hold.
    async fn reseal_specs(&mut self, tenant: &str, reseal: &Reseal) -> Result<usize, StoreError>;

    /// Seals what NixOps4 knows of a tenant.
    async fn reseal_nixops4(&mut self, tenant: &str, reseal: &Reseal) -> Result<usize, StoreError>;

    /// Seals the keys of all vaults.
    async fn reseal_vaults(&mut self, reseal: &Reseal) -> Result<usize, StoreError>;

    /// Seals the tickets that tenants leave with.
    async fn reseal_tickets(&mut self, reseal: &Reseal) -> Result<usize, StoreError>;

    /// Seals what opens the repositories that tenants are made of.
    async fn reseal_offsite(&mut self, reseal: &Reseal) -> Result<usize, StoreError>;
}

for_both! {
    impl Sealed {
        async fn recipient(&mut self) -> QueryResult<Option<String>> {
            secrets_key::table.find(ROW).select(secrets_key::recipient).get_result(self).await.optional()
        }

        async fn reseal_specs(&mut self, tenant: &str, reseal: &Reseal) -> Result<usize, StoreError> {
            let row = tenants::table.find(tenant);
            let spec: String = row.select(tenants::spec).get_result(self).await?;
            let (spec, mut count) = sealed_anew("tenants.spec", &spec, reseal)?;
            if count > 0 {
                diesel::update(row).set(tenants::spec.eq(spec)).execute(self).await?;
            }
            let own = revisions::table.filter(revisions::tenant.eq(tenant));
            let own: Vec<(String, String)> = own.select((revisions::id, revisions::spec)).load(self).await?;
            for (id, spec) in own {
                let (spec, within) = sealed_anew("revisions.spec", &spec, reseal)?;
                if within > 0 {
                    let row = revisions::table.find((tenant, id));
                    diesel::update(row).set(revisions::spec.eq(spec)).execute(self).await?;
                }
                count += within;
            }
            let own = previews::table.filter(previews::tenant.eq(tenant)).filter(previews::spec.is_not_null());
            let own = own.select((previews::operation_id, previews::spec.assume_not_null()));
            for (id, spec) in own.load::<(String, String)>(self).await? {
                let (spec, within) = sealed_anew("previews.spec", &spec, reseal)?;
                if within > 0 {
                    diesel::update(previews::table.find(id)).set(previews::spec.eq(spec)).execute(self).await?;
                }
                count += within;
            }
            Ok(count)
        }

        async fn reseal_nixops4(&mut self, tenant: &str, reseal: &Reseal) -> Result<usize, StoreError> {
            let row = nixops4_states::table.find(tenant);
            let state = row.select((nixops4_states::serial, nixops4_states::document));
            let state: Option<(i64, Option<String>)> = state.get_result(self).await.optional()?;
            let mut count = 0;
            if let Some((serial, Some(document))) = state {
                let place = SealedPlace::Nixops4State { tenant, serial };
                let document = reseal(&place, &document).map_err(StoreError::Reseal)?;
                diesel::update(row).set(nixops4_states::document.eq(document)).execute(self).await?;
                count += 1;
            }
            let own = nixops4_changes::table.filter(nixops4_changes::tenant.eq(tenant));
            let own = own.select((nixops4_changes::serial, nixops4_changes::patch));
            for (serial, patch) in own.load::<(i64, String)>(self).await? {
                let place = SealedPlace::Nixops4Change { tenant, serial };
                let patch = reseal(&place, &patch).map_err(StoreError::Reseal)?;
                let row = nixops4_changes::table.find((tenant, serial));
                diesel::update(row).set(nixops4_changes::patch.eq(patch)).execute(self).await?;
                count += 1;
            }
            Ok(count)
        }

        async fn reseal_vaults(&mut self, reseal: &Reseal) -> Result<usize, StoreError> {
            let all: Vec<(String, String)> = vaults::table.select((vaults::id, vaults::sealed_key)).load(self).await?;
            let count = all.len();
            for (vault, key) in all {
                let key = reseal(&SealedPlace::VaultKey { vault: &vault }, &key).map_err(StoreError::Reseal)?;
                diesel::update(vaults::table.find(&vault)).set(vaults::sealed_key.eq(key)).execute(self).await?;
            }
            Ok(count)
        }

        async fn reseal_tickets(&mut self, reseal: &Reseal) -> Result<usize, StoreError> {
            let all = departures::table.select((departures::operation, departures::sealed_ticket));
            let all: Vec<(String, String)> = all.load(self).await?;
            let count = all.len();
            for (operation, ticket) in all {
                let place = SealedPlace::Ticket { operation: &operation };
                let ticket = reseal(&place, &ticket).map_err(StoreError::Reseal)?;
                let row = departures::table.find(&operation);
                diesel::update(row).set(departures::sealed_ticket.eq(ticket)).execute(self).await?;
            }
            Ok(count)
        }

        async fn reseal_offsite(&mut self, reseal: &Reseal) -> Result<usize, StoreError> {
            let all = offsite_imports::table.filter(offsite_imports::sealed.is_not_null());
            let all = all.select((offsite_imports::operation, offsite_imports::sealed.assume_not_null()));
            let all: Vec<(String, String)> = all.load(self).await?;
            let count = all.len();
            for (operation, sealed) in all {
                let place = SealedPlace::Offsite { operation: &operation };
                let sealed = reseal(&place, &sealed).map_err(StoreError::Reseal)?;
                let row = offsite_imports::table.find(&operation);
                diesel::update(row).set(offsite_imports::sealed.eq(Some(sealed))).execute(self).await?;
            }
            Ok(count)
        }
    }
}

/// A stored specification with its secrets sealed anew, and how many there are.
fn sealed_anew(column: &'static str, spec: &str, reseal: &Reseal) -> Result<(String, usize), StoreError> {
    let mut spec: TenantSpec = from_json(column, spec)?;
    let tenant = spec.name.to_string();
    let mut count = 0;
    let seal_anew = |service: &ServiceName, at: &str, setting: &mut Setting| {
        let Setting::Secret(secret) = setting else { return Ok(()) };
        let (tenant, service, version) = (tenant.as_str(), service.as_str(), secret.version);
        let place = SealedPlace::Secret { tenant, service, setting: at, version };
        secret.sealed = reseal(&place, &secret.sealed)?;
        count += 1;
        Ok(())
    };
    spec.try_each_secret(seal_anew).map_err(StoreError::Reseal)?;
    Ok((json(column, &spec)?, count))
}
