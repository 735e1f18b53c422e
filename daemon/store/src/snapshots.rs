//! Tenants' vaults, and the snapshots in them.
//!
//! A snapshot is *forgotten* in two steps: its row says so, then it is removed from the vault, then the row goes. Whoever is
//! interrupted in between goes on where that was. Nothing is read from a vault meanwhile, and nothing is removed from one that
//! is being read: [`Store::begin_to_forget`] and [`Store::pruner`] decide it with the vault's row locked.
//!
//! A vault is a repository of its own under a name that is never used again, so that a tenant that takes an old name does
//! not see what the former one left.

use std::collections::BTreeSet;

use berth_domain::{OperationId, Snapshot, SnapshotId, TenantName, Timestamp, VaultId};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::backups::Notes as _;
use crate::columns::{from_json, json, maybe_parse, millis, parse};
use crate::dialect::Dialect as _;
use crate::error::StoreError;
use crate::leases::{Guard as _, Hold};
use crate::operations::UNFINISHED;
use crate::page::{Page, key, rows_for};
use crate::pool::Store;
use crate::run::{for_both, read, transact};
use crate::schema::{bucket_copies, operations, snapshots, vaults};

/// A vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultRecord {
    /// Its id, which is the repository's name.
    pub id: VaultId,
    /// The key that it is encrypted with, sealed.
    pub sealed_key: String,
}

/// Vaults within a transaction.
pub(crate) trait Vaults {
    /// The vault of a tenant, if it has one.
    async fn vault_of(&mut self, tenant: &str) -> Result<Option<VaultRecord>, StoreError>;

    /// Vaults stay when their tenant goes, and are nobody's then.
    async fn let_go_of_vaults(&mut self, tenant: &str) -> Result<(), StoreError>;
}

for_both! {
    impl Vaults {
        async fn vault_of(&mut self, tenant: &str) -> Result<Option<VaultRecord>, StoreError> {
            let own = vaults::table.filter(vaults::tenant.eq(tenant)).select((vaults::id, vaults::sealed_key));
            let found: Option<(String, String)> = own.first(self).await.optional()?;
            found.map(|(id, sealed_key)| Ok(VaultRecord { id: parse("vaults.id", &id)?, sealed_key })).transpose()
        }

        async fn let_go_of_vaults(&mut self, tenant: &str) -> Result<(), StoreError> {
            let own = vaults::table.filter(vaults::tenant.eq(tenant));
            diesel::update(own).set(vaults::tenant.eq(None::<String>)).execute(self).await?;
            Ok(())
        }
    }
}

/// A snapshot, and the operation that removes it.
type Row = (String, Option<String>);

fn shown((body, forgetting): Row) -> Result<Snapshot, StoreError> {
    let snapshot: Snapshot = from_json("snapshots.body", &body)?;
    Ok(Snapshot { forgetting: forgetting.is_some(), ..snapshot })
}

impl Store {
    /// The vault of a tenant, if it has one.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn vault(&self, tenant: &TenantName) -> Result<Option<VaultRecord>, StoreError> {
        let tenant = tenant.to_string();
        read!(self, conn => conn.vault_of(&tenant).await)
    }

    /// Gives a tenant this vault, unless it has one already; gives what it has.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]
    pub async fn keep_vault(
        &self,
        hold: Hold,
        tenant: &TenantName,
        vault: &VaultRecord,
        now: Timestamp,
    ) -> Result<VaultRecord, StoreError> {
        let (tenant, vault, now) = (tenant.to_string(), vault.clone(), millis(now));
        transact!(self, conn => {
            conn.hold(hold).await?;
            conn.lock_tenant(&tenant).await?;
            if let Some(known) = conn.vault_of(&tenant).await? {
                return Ok(known);
            }
            let row = (
                vaults::id.eq(vault.id.to_string()),
                vaults::tenant.eq(Some(&tenant)),
                vaults::sealed_key.eq(&vault.sealed_key),
                vaults::created_at.eq(now),
            );
            diesel::insert_into(vaults::table).values(row).execute(conn).await?;
            Ok::<_, StoreError>(vault.clone())
        })
    }

    /// Forgets a vault that was destroyed, with its snapshots.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]
    pub async fn forget_vault(&self, hold: Hold, id: VaultId) -> Result<(), StoreError> {
        let id = id.to_string();
        transact!(self, conn => {
            conn.hold(hold).await?;
            diesel::delete(snapshots::table.filter(snapshots::vault.eq(&id))).execute(conn).await?;
            diesel::delete(bucket_copies::table.filter(bucket_copies::vault.eq(&id))).execute(conn).await?;
            diesel::delete(vaults::table.find(&id)).execute(conn).await?;
            Ok::<_, StoreError>(())
        })
    }

    /// Writes a snapshot down, in place of what was written of it before.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]
    pub async fn keep_snapshot(
        &self,
        hold: Hold,
        vault: VaultId,
        snapshot: &Snapshot,
    ) -> Result<(), StoreError> {
        let (id, vault, tenant) = (snapshot.id.to_string(), vault.to_string(), snapshot.tenant.to_string());
        let (body, snapshot) = (json("snapshots.body", snapshot)?, snapshot.clone());
        transact!(self, conn => {
            conn.hold(hold).await?;
            diesel::delete(snapshots::table.find(&id)).execute(conn).await?;
            let row = (
                snapshots::id.eq(&id),
                snapshots::vault.eq(&vault),
                snapshots::tenant.eq(&tenant),
                snapshots::body.eq(&body),
            );
            diesel::insert_into(snapshots::table).values(row).execute(conn).await?;
            if snapshot.whole {
                conn.note_whole(&snapshot).await?;
            }
            Ok::<_, StoreError>(())
        })
    }

    /// A snapshot and the vault that it is in.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn snapshot(&self, id: SnapshotId) -> Result<(Snapshot, VaultRecord), StoreError> {
        let text = id.to_string();
        let found: Option<(Row, String, String)> = read!(self, conn => {
            let row = snapshots::table.inner_join(vaults::table).filter(snapshots::id.eq(&text));
            let row = row.select(((snapshots::body, snapshots::forgetting), vaults::id, vaults::sealed_key));
            Ok::<_, StoreError>(row.get_result(conn).await.optional()?)
        })?;
        let (row, vault, sealed_key) = found.ok_or_else(|| StoreError::not_found("snapshot", id))?;
        let vault = VaultRecord { id: parse("vaults.id", &vault)?, sealed_key };
        Ok((shown(row)?, vault))
    }

    /// The snapshots of a tenant, newest first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::InvalidCursor`]
    pub async fn list_snapshots(
        &self,
        tenant: &TenantName,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Snapshot>, StoreError> {
        self.tenant(tenant).await?;
        let (name, before) = (tenant.to_string(), key(after)?);
        let rows: Vec<(String, Row)> = read!(self, conn => {
            let own = snapshots::table.inner_join(vaults::table).filter(vaults::tenant.eq(&name)).into_boxed();
            let own = if before.is_empty() { own } else { own.filter(snapshots::id.lt(&before)) };
            let wanted = own.order(snapshots::id.desc()).limit(rows_for(limit));
            Ok::<_, StoreError>(wanted.select((snapshots::id, (snapshots::body, snapshots::forgetting))).load(conn).await?)
        })?;
        Page::of(rows, limit, |row| row.0.clone(), |row| shown(row.1))
    }

    /// Everything that is written down of a vault, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn snapshots_in(&self, vault: VaultId) -> Result<Vec<Snapshot>, StoreError> {
        let vault = vault.to_string();
        let rows: Vec<Row> = read!(self, conn => {
            let all = snapshots::table.filter(snapshots::vault.eq(&vault)).order(snapshots::id);
            Ok::<_, StoreError>(all.select((snapshots::body, snapshots::forgetting)).load(conn).await?)
        })?;
        rows.into_iter().map(shown).collect()
    }

    /// Begins to remove snapshots from a vault: they cannot be brought back any more, and the vault is the operation's alone
    /// until that ends.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::VaultInUse`] while another operation reads what is in it.
    pub async fn begin_to_forget(
        &self,
        hold: Hold,
        vault: VaultId,
        ids: &BTreeSet<SnapshotId>,
    ) -> Result<(), StoreError> {
        let (vault, own) = (vault.to_string(), hold.operation.to_string());
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        transact!(self, conn => {
            conn.hold(hold).await?;
            conn.lock_vault(&vault).await?;
            let by = vaults::table.find(&vault).select(vaults::pruned_by).get_result::<Option<String>>(conn).await?;
            let within = snapshots::table.filter(snapshots::vault.eq(&vault)).select(snapshots::id.nullable());
            let reads = operations::table.filter(operations::status.eq_any(UNFINISHED));
            let reads = reads.filter(operations::snapshot.eq_any(within)).filter(operations::id.ne(&own));
            // Whoever came since it was begun waits for it.
            let goes_on = by.as_deref() == Some(own.as_str());
            if let Some(id) = reads.select(operations::id).first::<String>(conn).await.optional()?
                && !goes_on
            {
                return Err(StoreError::VaultInUse { operation: parse("operations.id", &id)? });
            }
            diesel::update(vaults::table.find(&vault)).set(vaults::pruned_by.eq(&own)).execute(conn).await?;
            let going = snapshots::table.filter(snapshots::vault.eq(&vault)).filter(snapshots::id.eq_any(&ids));
            diesel::update(going).set(snapshots::forgetting.eq(&own)).execute(conn).await?;
            Ok(())
        })
    }

    /// Forgets the snapshots that were removed from a vault: all that any operation began to.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]
    pub async fn forget_snapshots(&self, hold: Hold, vault: VaultId) -> Result<usize, StoreError> {
        let vault = vault.to_string();
        transact!(self, conn => {
            conn.hold(hold).await?;
            conn.lock_vault(&vault).await?;
            let gone = snapshots::table.filter(snapshots::vault.eq(&vault));
            let gone = gone.filter(snapshots::forgetting.is_not_null());
            Ok::<_, StoreError>(diesel::delete(gone).execute(conn).await?)
        })
    }

    /// The unfinished operation that removes something from a vault. Where there is none, whoever asks may read, if an
    /// operation that names a snapshot of this vault was written down before.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn pruner(&self, vault: VaultId) -> Result<Option<OperationId>, StoreError> {
        let vault = vault.to_string();
        transact!(self, conn => {
            conn.lock_vault(&vault).await?;
            let by = vaults::table.find(&vault).select(vaults::pruned_by);
            let Some(by) = by.get_result::<Option<String>>(conn).await.optional()?.flatten() else { return Ok(None) };
            let unfinished = operations::table.find(&by).filter(operations::status.eq_any(UNFINISHED));
            let found: Option<String> = unfinished.select(operations::id).get_result(conn).await.optional()?;
            maybe_parse("vaults.pruned_by", found.as_deref())
        })
    }
}
