//! Customers' units.

use berth_domain::{
    Condition, MachineName, OperationKind, Pause, RevisionId, TenantName, TenantSpec, Timestamp,
};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{from_json, json, maybe_parse, millis, parse, stored, time};
use crate::dialect::Dialect;
use crate::drills::Lent as _;
use crate::error::StoreError;
use crate::idempotency::{IdempotencyRecord, Keys};
use crate::leases::{Guard, Hold};
use crate::operations::{BESIDE, UNFINISHED};
use crate::page::{Page, key, rows_for};
use crate::pool::Store;
use crate::run::{for_both, look_up, read, transact};
use crate::schema::{backup_plans, machines, object_moves, operations, previews, revisions, tenants, tokens};
use crate::snapshots::Vaults as _;

/// A tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantRecord {
    /// What it should be.
    pub spec: TenantSpec,
    /// Counts its changes, from 1.
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its spec was changed last.
    pub updated_at: Timestamp,
    /// The revision that was deployed last.
    pub deployed_revision: Option<RevisionId>,
    /// The system that was deployed last.
    pub deployed_system: Option<String>,
    /// The platform that was deployed last.
    pub platform: Option<String>,
    /// What the last check found, since the last deployment.
    pub condition: Option<Condition>,
}

impl TenantRecord {
    /// Why its backup plan rests, if it does.
    pub fn backups_rest(&self) -> Option<Pause> {
        Pause::of(&self.spec.mode, self.deployed_revision.is_some())
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = tenants)]
pub(crate) struct Row {
    name: String,
    domain: String,
    machine: String,
    spec: String,
    version: i64,
    deployed_revision: Option<String>,
    deployed_system: Option<String>,
    created_at: i64,
    updated_at: i64,
    platform: Option<String>,
    condition: Option<String>,
}

impl TryFrom<Row> for TenantRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            spec: from_json("tenants.spec", &row.spec)?,
            version: row.version,
            created_at: time("tenants.created_at", row.created_at)?,
            updated_at: time("tenants.updated_at", row.updated_at)?,
            deployed_revision: maybe_parse("tenants.deployed_revision", row.deployed_revision.as_deref())?,
            deployed_system: row.deployed_system,
            platform: row.platform,
            condition: row.condition.map(|text| from_json("tenants.condition", &text)).transpose()?,
        })
    }
}

/// Tenants within a transaction.
pub(crate) trait Tenants {
    /// The row, kept from others until the transaction ends.
    async fn locked(&mut self, name: &TenantName) -> Result<Row, StoreError>;

    /// Refuses a domain or a machine that is another tenant's, and a machine that is not registered.
    async fn check_place(&mut self, spec: &TenantSpec) -> Result<(), StoreError>;

    /// Refuses to make a tenant what `spec` says, and gives it as it is, kept from others until the transaction ends.
    async fn check_change(&mut self, spec: &TenantSpec) -> Result<TenantRecord, StoreError>;
    /// Makes a tenant what `spec` and `text`, which is the same as JSON, say. `expected` is the version that was looked at.
    async fn change(
        &mut self,
        spec: &TenantSpec,
        text: &str,
        expected: Option<i64>,
        now: Timestamp,
    ) -> Result<TenantRecord, StoreError>;

    /// Refuses while an operation of the tenant is unfinished.
    async fn check_idle(&mut self, name: &TenantName) -> Result<(), StoreError>;

    /// Removes the tenant, its revisions, previews and backup plan, and the tokens that open it: a later tenant of that name is not theirs.
    async fn remove(&mut self, name: &TenantName) -> Result<(), StoreError>;
}

for_both! {
    impl Tenants {
        async fn locked(&mut self, name: &TenantName) -> Result<Row, StoreError> {
            self.lock_tenant(name.as_str()).await?;
            let row = tenants::table.find(name.as_str()).select(Row::as_select());
            row.get_result(self).await.optional()?.ok_or_else(|| StoreError::not_found("tenant", name))
        }

        async fn check_place(&mut self, spec: &TenantSpec) -> Result<(), StoreError> {
            let others = tenants::table.filter(tenants::name.ne(spec.name.as_str())).select(tenants::name);
            let domain = others.filter(tenants::domain.eq(spec.domain.as_str()));
            if let Some(tenant) = domain.first::<String>(self).await.optional()? {
                let tenant = parse("tenants.name", &tenant)?;
                return Err(StoreError::DomainTaken { domain: spec.domain.clone(), tenant });
            }
            self.lock_machine(spec.machine.as_str()).await?;
            let machine = machines::table.find(spec.machine.as_str()).select(machines::holds_data_of);
            let Some(holds) = machine.get_result::<Option<String>>(self).await.optional()? else {
                return Err(StoreError::NoSuchMachine { machine: spec.machine.clone() });
            };
            let machine = others.filter(tenants::machine.eq(spec.machine.as_str()));
            if let Some(tenant) = machine.first::<String>(self).await.optional()? {
                let tenant = parse("tenants.name", &tenant)?;
                return Err(StoreError::MachineTaken { machine: spec.machine.clone(), tenant });
            }
            if let Some(tenant) = self.lent_to(spec.machine.as_str()).await? {
                return Err(StoreError::MachineLent { machine: spec.machine.clone(), tenant });
            }
            match holds {
                Some(of) if of != spec.name.as_str() => Err(StoreError::MachineHoldsData {
                    machine: spec.machine.clone(),
                    of: parse("machines.holds_data_of", &of)?,
                }),
                _ => Ok(()),
            }
        }

        async fn check_change(&mut self, spec: &TenantSpec) -> Result<TenantRecord, StoreError> {
            let old = TenantRecord::try_from(self.locked(&spec.name).await?)?;
            if old.spec.machine != spec.machine {
                self.check_idle(&spec.name).await?;
                if old.deployed_revision.is_some() {
                    let (tenant, machine) = (spec.name.clone(), old.spec.machine);
                    return Err(StoreError::TenantDeployed { tenant, machine });
                }
            }
            self.check_place(spec).await?;
            Ok(old)
        }

        async fn change(
            &mut self,
            spec: &TenantSpec,
            text: &str,
            expected: Option<i64>,
            now: Timestamp,
        ) -> Result<TenantRecord, StoreError> {
            let current = self.locked(&spec.name).await?.version;
            if expected.is_some_and(|expected| expected != current) {
                return Err(StoreError::VersionMismatch { current });
            }
            let old = self.check_change(spec).await?;
            let columns = (
                tenants::domain.eq(spec.domain.as_str()),
                tenants::machine.eq(spec.machine.as_str()),
                tenants::spec.eq(text),
                tenants::version.eq(old.version + 1),
                tenants::updated_at.eq(millis(now)),
            );
            diesel::update(tenants::table.find(spec.name.as_str())).set(columns).execute(self).await?;
            Ok(TenantRecord { spec: spec.clone(), version: old.version + 1, updated_at: stored(now), ..old })
        }

        async fn check_idle(&mut self, name: &TenantName) -> Result<(), StoreError> {
            let unfinished = operations::table.filter(operations::tenant.eq(name.as_str()));
            let unfinished = unfinished.filter(operations::status.eq_any(UNFINISHED));
            let unfinished = unfinished.filter(operations::kind.ne_all(BESIDE)).select(operations::id);
            match unfinished.first::<String>(self).await.optional()? {
                Some(id) => Err(StoreError::OperationRunning { operation: parse("operations.id", &id)? }),
                None => Ok(()),
            }
        }

        async fn remove(&mut self, name: &TenantName) -> Result<(), StoreError> {
            diesel::delete(tokens::table.filter(tokens::tenant.eq(name.as_str()))).execute(self).await?;
            diesel::delete(revisions::table.filter(revisions::tenant.eq(name.as_str()))).execute(self).await?;
            diesel::delete(previews::table.filter(previews::tenant.eq(name.as_str()))).execute(self).await?;
            diesel::delete(backup_plans::table.find(name.as_str())).execute(self).await?;
            diesel::delete(object_moves::table.filter(object_moves::tenant.eq(name.as_str()))).execute(self).await?;
            self.forget_drills(name.as_str()).await?;
            self.let_go_of_vaults(name.as_str()).await?;
            match diesel::delete(tenants::table.find(name.as_str())).execute(self).await? {
                0 => Err(StoreError::not_found("tenant", name)),
                _ => Ok(()),
            }
        }
    }
}

impl Store {
    /// Creates a tenant.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::DomainTaken`], [`StoreError::NoSuchMachine`],
    /// [`StoreError::MachineTaken`], [`StoreError::MachineHoldsData`], [`StoreError::IdempotencyReplay`]
    pub async fn create_tenant(
        &self,
        spec: &TenantSpec,
        now: Timestamp,
        once: Option<&IdempotencyRecord>,
    ) -> Result<TenantRecord, StoreError> {
        let (spec, once, text) = (spec.clone(), once.cloned(), json("tenants.spec", spec)?);
        transact!(self, conn => {
            conn.keep_reply(once.as_ref()).await?;
            let same = tenants::table.find(spec.name.as_str()).count().get_result::<i64>(conn).await?;
            if same > 0 {
                return Err(StoreError::exists("tenant", &spec.name));
            }
            conn.check_place(&spec).await?;
            let row = Row {
                name: spec.name.to_string(),
                domain: spec.domain.to_string(),
                machine: spec.machine.to_string(),
                spec: text.clone(),
                version: 1,
                deployed_revision: None,
                deployed_system: None,
                created_at: millis(now),
                updated_at: millis(now),
                platform: None,
                condition: None,
            };
            diesel::insert_into(tenants::table).values(&row).execute(conn).await?;
            TenantRecord::try_from(row)
        })
    }

    /// Changes a tenant. `expected` is the version that the change was made of.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::VersionMismatch`], [`StoreError::TenantDeployed`] and
    /// [`StoreError::OperationRunning`] for a change of its machine, and as [`Store::create_tenant`].
    pub async fn update_tenant(
        &self,
        spec: &TenantSpec,
        expected: Option<i64>,
        now: Timestamp,
    ) -> Result<TenantRecord, StoreError> {
        let (spec, text) = (spec.clone(), json("tenants.spec", spec)?);
        transact!(self, conn => conn.change(&spec, &text, expected, now).await)
    }

    /// Whether [`Store::create_tenant`] would do it; nothing is written.
    ///
    /// # Errors
    /// As [`Store::create_tenant`].
    pub async fn check_new_tenant(&self, spec: &TenantSpec) -> Result<(), StoreError> {
        let spec = spec.clone();
        transact!(self, conn => conn.check_place(&spec).await)
    }

    /// Whether [`Store::update_tenant`] would do it; nothing is written.
    ///
    /// # Errors
    /// As [`Store::update_tenant`].
    pub async fn check_changed_tenant(&self, spec: &TenantSpec) -> Result<(), StoreError> {
        let spec = spec.clone();
        transact!(self, conn => conn.check_change(&spec).await.map(drop))
    }

    /// A tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn tenant(&self, name: &TenantName) -> Result<TenantRecord, StoreError> {
        let text = name.to_string();
        let found: Result<Option<Row>, StoreError> =
            look_up!(self, Row, tenants::table.find(&text).select(Row::as_select()));
        found?.ok_or_else(|| StoreError::not_found("tenant", name))?.try_into()
    }

    /// The tenants, by name.
    ///
    /// # Errors
    /// [`StoreError::InvalidCursor`]
    pub async fn list_tenants(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<TenantRecord>, StoreError> {
        let after = key(after)?;
        let rows: Vec<Row> = read!(self, conn => {
            let wanted = tenants::table.filter(tenants::name.gt(&after)).order(tenants::name).limit(rows_for(limit));
            Ok(wanted.select(Row::as_select()).load(conn).await?)
        })?;
        Page::of(rows, limit, |row| row.name.clone(), TenantRecord::try_from)
    }

    /// The platforms that tenants were deployed with.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn platforms(&self) -> Result<Vec<String>, StoreError> {
        let found: Vec<Option<String>> = read!(self, conn => {
            let used = tenants::table.filter(tenants::platform.is_not_null());
            Ok::<_, StoreError>(used.select(tenants::platform).distinct().load(conn).await?)
        })?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Forgets a tenant, its revisions and the tokens that open it, and remembers whose data its machine still holds. A
    /// tenant of that name that came after the operation is another one, and not found.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::NotFound`]
    pub async fn forget_tenant(
        &self,
        hold: Hold,
        name: &TenantName,
        machine: &MachineName,
        keeps_data: bool,
    ) -> Result<(), StoreError> {
        let (name, machine) = (name.clone(), machine.to_string());
        transact!(self, conn => {
            conn.hold(hold).await?;
            let asked = operations::table.find(hold.operation.to_string()).select(operations::created_at);
            let asked: i64 = asked.get_result(conn).await?;
            if conn.locked(&name).await?.created_at > asked {
                return Err(StoreError::not_found("tenant", &name));
            }
            let holds = machines::holds_data_of.eq(keeps_data.then_some(name.as_str()));
            diesel::update(machines::table.find(&machine)).set(holds).execute(conn).await?;
            conn.remove(&name).await
        })
    }

    /// Forgets a tenant that no operation but previews was ever made for, so that its machine holds nothing of it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::OperationRunning`]; [`StoreError::TenantDeployed`] where there was an
    /// operation.
    pub async fn delete_undeployed_tenant(&self, name: &TenantName) -> Result<(), StoreError> {
        let name = name.clone();
        transact!(self, conn => {
            let row = conn.locked(&name).await?;
            conn.check_idle(&name).await?;
            let earlier = operations::table.filter(operations::tenant.eq(name.as_str()));
            let earlier = earlier.filter(operations::kind.ne(OperationKind::Preview.word()));
            let earlier = earlier.filter(operations::created_at.ge(row.created_at)).count();
            if row.deployed_revision.is_some() || earlier.get_result::<i64>(conn).await? > 0 {
                let machine = parse("tenants.machine", &row.machine)?;
                return Err(StoreError::TenantDeployed { tenant: name.clone(), machine });
            }
            conn.remove(&name).await
        })
    }

    /// Forgets a tenant without anything having been done on its machine, which is returned and remembered as holding
    /// the tenant's data.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::OperationRunning`]
    pub async fn abandon_tenant(&self, name: &TenantName) -> Result<MachineName, StoreError> {
        let name = name.clone();
        transact!(self, conn => {
            let row = conn.locked(&name).await?;
            conn.check_idle(&name).await?;
            let holds = machines::holds_data_of.eq(name.as_str());
            diesel::update(machines::table.find(&row.machine)).set(holds).execute(conn).await?;
            conn.remove(&name).await?;
            parse("tenants.machine", &row.machine)
        })
    }

    /// Notes what a tenant's machine was committed to: a revision, the system that it is, and the platform that it names. The
    /// machine holds its data from here on, and what an earlier check found holds no more.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::NotFound`]
    pub async fn set_tenant_deployed(
        &self,
        hold: Hold,
        name: &TenantName,
        revision: &RevisionId,
        system: &str,
        platform: &str,
    ) -> Result<(), StoreError> {
        let (name, revision) = (name.clone(), revision.to_string());
        let (system, platform) = (system.to_owned(), platform.to_owned());
        transact!(self, conn => {
            conn.hold(hold).await?;
            let columns = (
                tenants::deployed_revision.eq(&revision),
                tenants::deployed_system.eq(&system),
                tenants::platform.eq(&platform),
                tenants::condition.eq(None::<String>),
            );
            match diesel::update(tenants::table.find(name.as_str())).set(columns).execute(conn).await? {
                0 => Err(StoreError::not_found("tenant", &name)),
                _ => Ok(()),
            }
        })
    }
}
