//! Hosts, what is known of them, and whose data they hold.

use berth_domain::{MachineFacts, MachineName, MachineSpec, TenantName, Timestamp};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{from_json, json, maybe_parse, millis, parse, time};
use crate::drills::Lent as _;
use crate::error::StoreError;
use crate::idempotency::{IdempotencyRecord, Keys};
use crate::leases::{Guard, Hold};
use crate::operations::UNFINISHED;
use crate::page::{Page, key, rows_for};
use crate::pool::Store;
use crate::run::{read, transact};
use crate::schema::{drills, machines, operations, tenants};

/// A machine.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineRecord {
    /// As it was registered.
    pub spec: MachineSpec,
    /// The tenant that is on it.
    pub tenant: Option<TenantName>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// What its agent found out the last time.
    pub facts: Option<MachineFacts>,
    /// The tenant that was taken off it and whose data it still holds.
    pub holds_data_of: Option<TenantName>,
    /// The tenant for whose drill it is lent.
    pub lent_to: Option<TenantName>,
}

/// A machine's columns, the name of the tenant that is on it, and of the one for whose drill it is lent.
type Row = (String, Option<String>, Option<String>, i64, Option<String>, Option<String>);

macro_rules! columns {
    () => {
        (
            machines::spec,
            machines::facts,
            machines::holds_data_of,
            machines::created_at,
            tenants::name.nullable(),
            drills::tenant.nullable(),
        )
    };
}

/// Machines with whoever is on them.
macro_rules! occupied {
    () => {
        machines::table
            .left_join(tenants::table.on(tenants::machine.eq(machines::name)))
            .left_join(drills::table.on(drills::machine.eq(machines::name).and(drills::lent.eq(true))))
    };
}

fn record((spec, facts, holds, created_at, tenant, lent_to): Row) -> Result<MachineRecord, StoreError> {
    Ok(MachineRecord {
        spec: from_json("machines.spec", &spec)?,
        tenant: maybe_parse("tenants.name", tenant.as_deref())?,
        created_at: time("machines.created_at", created_at)?,
        facts: facts.map(|facts| from_json("machines.facts", &facts)).transpose()?,
        holds_data_of: maybe_parse("machines.holds_data_of", holds.as_deref())?,
        lent_to: maybe_parse("drills.tenant", lent_to.as_deref())?,
    })
}

impl Store {
    /// Registers a machine.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::IdempotencyReplay`]
    pub async fn create_machine(
        &self,
        spec: &MachineSpec,
        now: Timestamp,
        once: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let (name, text, once) = (spec.name.to_string(), json("machines.spec", spec)?, once.cloned());
        transact!(self, conn => {
            conn.keep_reply(once.as_ref()).await?;
            let same = machines::table.find(&name).count().get_result::<i64>(conn).await?;
            if same > 0 {
                return Err(StoreError::exists("machine", &name));
            }
            let columns =
                (machines::name.eq(&name), machines::spec.eq(&text), machines::created_at.eq(millis(now)));
            diesel::insert_into(machines::table).values(columns).execute(conn).await?;
            Ok(())
        })
    }

    /// A machine.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn machine(&self, name: &MachineName) -> Result<MachineRecord, StoreError> {
        let text = name.to_string();
        let row: Option<Row> = read!(self, conn => {
            Ok(occupied!().filter(machines::name.eq(&text)).select(columns!()).get_result(conn).await.optional()?)
        })?;
        record(row.ok_or_else(|| StoreError::not_found("machine", name))?)
    }

    /// The machines, by name.
    ///
    /// # Errors
    /// [`StoreError::InvalidCursor`]
    pub async fn list_machines(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<MachineRecord>, StoreError> {
        let after = key(after)?;
        let rows: Vec<(String, Row)> = read!(self, conn => {
            let wanted = occupied!().filter(machines::name.gt(&after)).order(machines::name).limit(rows_for(limit));
            Ok(wanted.select((machines::name, columns!())).load(conn).await?)
        })?;
        Page::of(rows, limit, |(name, _)| name.clone(), |(_, row)| record(row))
    }

    /// Forgets a machine.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::MachineInUse`], [`StoreError::MachineLent`] while a drill goes on there
    pub async fn delete_machine(&self, name: &MachineName) -> Result<(), StoreError> {
        let text = name.to_string();
        transact!(self, conn => {
            let on_it = tenants::table.filter(tenants::machine.eq(&text)).select(tenants::name);
            if let Some(tenant) = on_it.first::<String>(conn).await.optional()? {
                return Err(StoreError::MachineInUse { tenant: parse("tenants.name", &tenant)? });
            }
            if let Some((tenant, true)) = conn.lent(&text).await? {
                let machine = parse("machines.name", &text)?;
                return Err(StoreError::MachineLent { machine, tenant });
            }
            // Whoever has it forgotten answers for what is left there.
            conn.give_back(&text).await?;
            match diesel::delete(machines::table.find(&text)).execute(conn).await? {
                0 => Err(StoreError::not_found("machine", &text)),
                _ => Ok(()),
            }
        })
    }

    /// Keeps what a machine's agent found out for an operation.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::NotFound`]
    pub async fn set_machine_facts(
        &self,
        hold: Hold,
        name: &MachineName,
        facts: &MachineFacts,
    ) -> Result<(), StoreError> {
        let (text, facts) = (name.to_string(), json("machines.facts", facts)?);
        transact!(self, conn => {
            conn.hold(hold).await?;
            let row = diesel::update(machines::table.find(&text)).set(machines::facts.eq(&facts));
            match row.execute(conn).await? {
                0 => Err(StoreError::not_found("machine", &text)),
                _ => Ok(()),
            }
        })
    }

    /// Keeps what a machine's agent found out for a check. Where an operation works on the machine, nothing is kept: what it
    /// finds out is newer.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn set_checked_facts(
        &self,
        name: &MachineName,
        facts: &MachineFacts,
    ) -> Result<(), StoreError> {
        let (text, facts) = (name.to_string(), json("machines.facts", facts)?);
        transact!(self, conn => {
            let works = operations::table.filter(operations::machine.eq(&text));
            let works = works.filter(operations::status.eq_any(UNFINISHED)).count();
            if works.get_result::<i64>(conn).await? > 0 {
                return Ok(());
            }
            let row = diesel::update(machines::table.find(&text)).set(machines::facts.eq(&facts));
            match row.execute(conn).await? {
                0 => Err(StoreError::not_found("machine", &text)),
                _ => Ok(()),
            }
        })
    }
}
