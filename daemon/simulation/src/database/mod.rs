//! The way to the database: calls that take a while, fail, or take place without an answer.

mod fleet;
mod snapshots;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::event::NewEvent;
use berth_domain::{
    Event, MachineFacts, MachineName, Operation, OperationId, OperationKind, Preview, Revision, RevisionId,
    RolloutId, StepName, TenantName, TenantSpec, Timestamp,
};
use berth_engine::Records;
use berth_engine::ports::Clock as _;
use berth_engine::records::{Listening, OperationRecords, Result};
use berth_store::{
    Claim, Claimed, DatabaseError, EventPage, Hold, IdempotencyRecord, MachineRecord, News, Recorded,
    Renewed, StoreError, TenantRecord,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::life::Life;
use crate::tables::Tables;
use crate::world::{World, locked};

/// Who hears news.
pub type Listeners = Arc<Mutex<Vec<UnboundedSender<News>>>>;

/// One daemon's way to the database.
pub struct Database {
    world: Arc<World>,
    life: Life,
    listeners: Listeners,
}

impl Database {
    /// The way of the daemon that lives this life.
    pub fn new(world: &Arc<World>, life: &Life, listeners: &Listeners) -> Self {
        Self { world: Arc::clone(world), life: life.clone(), listeners: Arc::clone(listeners) }
    }

    async fn call<T>(&self, work: impl FnOnce(&mut Tables, Timestamp) -> Result<T> + Send) -> Result<T> {
        let (world, weather) = (&self.world, self.world.weather());
        self.life.pass().await;
        tokio::time::sleep(world.dice.millis(0..=4)).await;
        if self.life.is_cut_off() {
            tokio::time::sleep(world.dice.millis(10..=3000)).await;
            return Err(DatabaseError::Busy.into());
        }
        if world.is_refused() {
            return Err(DatabaseError::Busy.into());
        }
        self.life.pass().await;
        let (answer, news) = {
            let mut tables = locked(&world.tables);
            let answer = work(&mut tables, world.now());
            (answer, std::mem::take(&mut tables.news))
        };
        if let Err(StoreError::LeaseLost { .. }) = &answer {
            world.laws.count(|counts| counts.refused += 1);
        }
        self.tell(news, weather.news_lost);
        self.life.pass().await;
        if world.fault(weather.database_mumbles) {
            return Err(DatabaseError::Busy.into());
        }
        answer
    }

    fn tell(&self, news: Vec<News>, lost: f64) {
        let mut listeners = locked(&self.listeners);
        for heard in news {
            if self.world.fault(lost) {
                continue;
            }
            listeners.retain(|listener| listener.send(heard).is_ok());
        }
    }
}

/// One daemon's ear.
struct Ear {
    news: UnboundedReceiver<News>,
    life: Life,
}

#[async_trait]
impl Listening for Ear {
    async fn next(&mut self) -> News {
        let heard = self.news.recv().await;
        self.life.pass().await;
        match heard {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl OperationRecords for Database {
    async fn create_operation(
        &self,
        operation: &Operation,
        first: NewEvent,
        _: Option<&IdempotencyRecord>,
    ) -> Result<()> {
        self.call(|tables, _| tables.create_operation(operation, first)).await
    }

    async fn create_rollback(
        &self,
        operation: &Operation,
        spec: &TenantSpec,
        expected: i64,
        first: NewEvent,
        _: Option<&IdempotencyRecord>,
    ) -> Result<()> {
        self.call(|tables, _| tables.create_rollback(operation, spec, expected, first)).await
    }

    async fn request_cancel(
        &self,
        id: OperationId,
        event: NewEvent,
        _: Option<&IdempotencyRecord>,
    ) -> Result<(Operation, Option<Event>)> {
        self.call(|tables, _| tables.request_cancel(id, event)).await
    }

    async fn operation(&self, id: OperationId) -> Result<Operation> {
        self.call(|tables, _| tables.operation(id)).await
    }

    async fn events(&self, id: OperationId, after: i64, limit: u32) -> Result<EventPage> {
        self.call(|tables, _| tables.events(id, after, limit)).await
    }

    async fn trim_events(&self, id: OperationId, keep: i64) -> Result<u64> {
        self.call(|tables, _| Ok(tables.trim_events(id, keep))).await
    }

    async fn step_durations(&self, kind: OperationKind, limit: u32) -> Result<Vec<(StepName, i64)>> {
        self.call(|tables, _| Ok(tables.step_durations(kind, limit))).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Option<Claimed>> {
        let laws = &self.world.laws;
        let claiming = self.call(|tables, now| {
            let claimed = tables.claim(claim, now);
            if let Some(claimed) = &claimed {
                laws.claimed(&claimed.operation.machine, claimed.hold.fence);
                laws.count(|counts| counts.taken_over += u64::from(claimed.taken_over));
            }
            Ok(claimed)
        });
        claiming.await
    }

    async fn renew(&self, hold: Hold, lasting: Duration) -> Result<Renewed> {
        self.call(|tables, now| tables.renew(hold, lasting, now)).await
    }

    async fn release(&self, hold: Hold) -> Result<()> {
        self.call(|tables, _| tables.release(hold)).await
    }

    async fn record(
        &self,
        hold: Hold,
        write: i64,
        operation: &Operation,
        events: Vec<NewEvent>,
    ) -> Result<Recorded> {
        let world = &self.world;
        self.call(|tables, _| {
            let before = tables.operation(hold.operation)?;
            let recorded = tables.record(hold, write, operation, events)?;
            world.laws.wrote(hold);
            crate::audit::recorded(world, tables, &before, &recorded);
            Ok(recorded)
        })
        .await
    }

    async fn create_preview(
        &self,
        operation: &Operation,
        spec: &TenantSpec,
        first: NewEvent,
        _: Option<&IdempotencyRecord>,
    ) -> Result<()> {
        self.call(|tables, _| tables.create_preview(operation, spec, first)).await
    }

    async fn previewed_spec(&self, id: OperationId) -> Result<TenantSpec> {
        self.call(|tables, _| tables.previewed_spec(id)).await
    }

    async fn keep_preview(&self, hold: Hold, preview: &Preview) -> Result<()> {
        self.call(|tables, _| tables.keep_preview(hold, preview)).await
    }

    async fn tenant(&self, name: &TenantName) -> Result<TenantRecord> {
        self.call(|tables, _| tables.tenant(name)).await
    }

    async fn machine(&self, name: &MachineName) -> Result<MachineRecord> {
        self.call(|tables, _| tables.machine(name)).await
    }

    async fn revision(&self, tenant: &TenantName, id: &RevisionId) -> Result<Revision> {
        self.call(|tables, _| tables.revision(tenant, id)).await
    }

    async fn keep_revision(&self, hold: Hold, revision: &Revision) -> Result<()> {
        self.call(|tables, _| tables.keep_revision(hold, revision)).await
    }

    async fn set_machine_facts(&self, hold: Hold, name: &MachineName, facts: &MachineFacts) -> Result<()> {
        self.call(|tables, _| tables.set_machine_facts(hold, name, facts)).await
    }

    async fn set_tenant_deployed(
        &self,
        hold: Hold,
        name: &TenantName,
        revision: &RevisionId,
        system: &str,
        platform: &str,
    ) -> Result<()> {
        self.call(|tables, _| tables.set_tenant_deployed(hold, name, revision, system, platform)).await
    }

    async fn rollout_platform(&self, id: RolloutId) -> Result<Option<String>> {
        self.call(|tables, _| tables.rollout_platform(id)).await
    }

    async fn forget_tenant(
        &self,
        hold: Hold,
        name: &TenantName,
        machine: &MachineName,
        keeps_data: bool,
    ) -> Result<()> {
        self.call(|tables, _| tables.forget_tenant(hold, name, machine, keeps_data)).await
    }
}

impl Records for Database {
    fn listen(&self) -> Option<Box<dyn Listening>> {
        let (tell, news) = unbounded_channel();
        let _ = tell.send(News::Missed);
        locked(&self.listeners).push(tell);
        Some(Box::new(Ear { news, life: self.life.clone() }))
    }
}
