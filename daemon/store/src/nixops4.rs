//! What NixOps4 knows of a tenant's resources, and who may change it.
//!
//! Whoever is going to change a state takes its *lease* and gets a *fence*, a number greater than any before it. A change
//! names its fence and is refused where it is not the newest any more: of two programs that both think to have the lease,
//! only the later one writes.

use berth_domain::{TenantName, Timestamp};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{from_json, json, maybe_time, millis, time};
use crate::dialect::Dialect;
use crate::error::StoreError;
use crate::idempotency::{IdempotencyRecord, Keys};
use crate::page::{Page, rows_for};
use crate::pool::Store;
use crate::run::{for_both, read, transact};
use crate::schema::{nixops4_changes, nixops4_states, tenants};

/// How many of a state's newest changes are kept.
const KEPT_CHANGES: i64 = 1000;

/// A tenant's NixOps4 state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateRecord {
    /// The document, sealed; absent before the first change.
    pub document: Option<String>,
    /// Names of properties that are secrets although their names do not say so.
    pub sensitive: Vec<String>,
    /// Counts the changes.
    pub serial: i64,
    /// The number of the newest lease; 0 where there was none.
    pub fence: i64,
    /// Who has the lease.
    pub lease: Option<LeaseRecord>,
}

/// Who has the lease of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRecord {
    /// What the holder calls itself; nobody else has that name.
    pub holder: String,
    /// Who it is, for others.
    pub held_by: String,
    /// When others may take it.
    pub until: Timestamp,
}

/// A change that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRecord {
    /// Its number, from 1.
    pub serial: i64,
    /// When it came.
    pub at: Timestamp,
    /// What happened, in NixOps4's word.
    pub event: String,
    /// The version of NixOps4 that said so.
    pub nixops_version: String,
    /// Whose change it is.
    pub made_by: String,
    /// The patch, sealed.
    pub patch: String,
}

/// A change, and the state that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewState {
    /// The change; its number is one more than that of the state that it was applied to.
    pub change: ChangeRecord,
    /// The fence of whoever makes it.
    pub fence: i64,
    /// The document that it leads to, sealed.
    pub document: String,
    /// Names of properties that are secrets.
    pub sensitive: Vec<String>,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = nixops4_states, treat_none_as_null = true)]
struct StateRow {
    tenant: String,
    document: Option<String>,
    sensitive: String,
    serial: i64,
    fence: i64,
    holder: Option<String>,
    held_by: Option<String>,
    leased_until: Option<i64>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = nixops4_changes)]
struct ChangeRow {
    tenant: String,
    serial: i64,
    at: i64,
    event: String,
    nixops_version: String,
    made_by: String,
    patch: String,
}

impl StateRow {
    fn empty(tenant: &TenantName) -> Self {
        Self {
            tenant: tenant.to_string(),
            document: None,
            sensitive: "[]".into(),
            serial: 0,
            fence: 0,
            holder: None,
            held_by: None,
            leased_until: None,
        }
    }
}

impl TryFrom<StateRow> for StateRecord {
    type Error = StoreError;

    fn try_from(row: StateRow) -> Result<Self, StoreError> {
        let until = maybe_time("nixops4_states.leased_until", row.leased_until)?;
        let lease = match (row.holder, row.held_by, until) {
            (Some(holder), Some(held_by), Some(until)) => Some(LeaseRecord { holder, held_by, until }),
            _ => None,
        };
        Ok(Self {
            document: row.document,
            sensitive: from_json("nixops4_states.sensitive", &row.sensitive)?,
            serial: row.serial,
            fence: row.fence,
            lease,
        })
    }
}

impl TryFrom<ChangeRow> for ChangeRecord {
    type Error = StoreError;

    fn try_from(row: ChangeRow) -> Result<Self, StoreError> {
        Ok(Self {
            serial: row.serial,
            at: time("nixops4_changes.at", row.at)?,
            event: row.event,
            nixops_version: row.nixops_version,
            made_by: row.made_by,
            patch: row.patch,
        })
    }
}

/// States within a transaction.
trait States {
    /// The state, kept from others until the transaction ends.
    async fn state_of(&mut self, tenant: &TenantName) -> Result<StateRow, StoreError>;

    /// Writes a state.
    async fn write_state(&mut self, row: &StateRow) -> Result<(), StoreError>;
}

for_both! {
    impl States {
        async fn state_of(&mut self, tenant: &TenantName) -> Result<StateRow, StoreError> {
            self.lock_tenant(tenant.as_str()).await?;
            if tenants::table.find(tenant.as_str()).count().get_result::<i64>(self).await? == 0 {
                return Err(StoreError::not_found("tenant", tenant));
            }
            let row = nixops4_states::table.find(tenant.as_str()).select(StateRow::as_select());
            Ok(row.get_result(self).await.optional()?.unwrap_or_else(|| StateRow::empty(tenant)))
        }

        async fn write_state(&mut self, row: &StateRow) -> Result<(), StoreError> {
            let known = nixops4_states::table.find(&row.tenant);
            if diesel::update(known).set(row).execute(self).await? == 0 {
                diesel::insert_into(nixops4_states::table).values(row).execute(self).await?;
            }
            Ok(())
        }
    }
}

impl Store {
    /// A tenant's NixOps4 state; an empty one where there is none.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such tenant.
    pub async fn nixops4_state(&self, tenant: &TenantName) -> Result<StateRecord, StoreError> {
        self.tenant(tenant).await?;
        let name = tenant.to_string();
        let row: Option<StateRow> = read!(self, conn => {
            let row = nixops4_states::table.find(&name).select(StateRow::as_select());
            Ok(row.get_result(conn).await.optional()?)
        })?;
        row.map_or_else(|| Ok(StateRecord::default()), StateRecord::try_from)
    }

    /// Takes the lease of a state until `wanted.until`, or makes it last until then where its holder has it already. Returns
    /// the fence.
    ///
    /// # Errors
    /// [`StoreError::StateLeased`], [`StoreError::NotFound`]
    pub async fn lease_nixops4_state(
        &self,
        tenant: &TenantName,
        wanted: &LeaseRecord,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let (tenant, wanted) = (tenant.clone(), wanted.clone());
        transact!(self, conn => {
            let mut row = conn.state_of(&tenant).await?;
            let own = row.holder.as_ref() == Some(&wanted.holder);
            if let (false, Some(by), Some(until)) = (own, &row.held_by, row.leased_until)
                && until > millis(now)
            {
                let until = time("nixops4_states.leased_until", until)?;
                return Err(StoreError::StateLeased { by: by.clone(), until });
            }
            if !own {
                row.fence += 1;
            }
            row.holder = Some(wanted.holder.clone());
            row.held_by = Some(wanted.held_by.clone());
            row.leased_until = Some(millis(wanted.until));
            conn.write_state(&row).await?;
            Ok(row.fence)
        })
    }

    /// Gives a lease back. One that somebody else has by now stays theirs.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn release_nixops4_state(&self, tenant: &TenantName, fence: i64) -> Result<(), StoreError> {
        let tenant = tenant.clone();
        transact!(self, conn => {
            let mut row = conn.state_of(&tenant).await?;
            if row.fence == fence && row.holder.is_some() {
                (row.holder, row.held_by, row.leased_until) = (None, None, None);
                conn.write_state(&row).await?;
            }
            Ok(())
        })
    }

    /// Keeps a change and the state that it leads to. A lease that ran out still counts as long as nobody else took it.
    ///
    /// # Errors
    /// [`StoreError::StateLeaseLost`]; [`StoreError::VersionMismatch`] where the change was made of another state;
    /// [`StoreError::NotFound`], [`StoreError::IdempotencyReplay`]
    pub async fn keep_nixops4_state(
        &self,
        tenant: &TenantName,
        new: &NewState,
        once: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let (tenant, new, once) = (tenant.clone(), new.clone(), once.cloned());
        let sensitive = json("nixops4_states.sensitive", &new.sensitive)?;
        transact!(self, conn => {
            conn.keep_reply(once.as_ref()).await?;
            let mut row = conn.state_of(&tenant).await?;
            if row.fence != new.fence || row.holder.is_none() {
                return Err(StoreError::StateLeaseLost { fence: new.fence });
            }
            if row.serial + 1 != new.change.serial {
                return Err(StoreError::VersionMismatch { current: row.serial });
            }
            row.serial += 1;
            row.document = Some(new.document.clone());
            row.sensitive = sensitive.clone();
            conn.write_state(&row).await?;
            let change = ChangeRow {
                tenant: tenant.to_string(),
                serial: row.serial,
                at: millis(new.change.at),
                event: new.change.event.clone(),
                nixops_version: new.change.nixops_version.clone(),
                made_by: new.change.made_by.clone(),
                patch: new.change.patch.clone(),
            };
            diesel::insert_into(nixops4_changes::table).values(&change).execute(conn).await?;
            let old = nixops4_changes::table.filter(nixops4_changes::tenant.eq(&change.tenant));
            let old = old.filter(nixops4_changes::serial.le(row.serial - KEPT_CHANGES));
            diesel::delete(old).execute(conn).await?;
            Ok(())
        })
    }

    /// The newest changes of a state, newest first, as many as are kept.
    ///
    /// # Errors
    /// [`StoreError::InvalidCursor`]; [`StoreError::NotFound`] where there is no such tenant.
    pub async fn list_nixops4_changes(
        &self,
        tenant: &TenantName,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<ChangeRecord>, StoreError> {
        self.tenant(tenant).await?;
        let name = tenant.to_string();
        let before = match crate::page::key(after)? {
            key if key.is_empty() => i64::MAX,
            key => key.parse().map_err(|_| StoreError::InvalidCursor)?,
        };
        let rows: Vec<ChangeRow> = read!(self, conn => {
            let own = nixops4_changes::table.filter(nixops4_changes::tenant.eq(&name));
            let wanted = own.filter(nixops4_changes::serial.lt(before)).order(nixops4_changes::serial.desc());
            Ok(wanted.limit(rows_for(limit)).select(ChangeRow::as_select()).load(conn).await?)
        })?;
        Page::of(rows, limit, |row| row.serial.to_string(), ChangeRecord::try_from)
    }
}
