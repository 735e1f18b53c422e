//! The way to rollouts. Checks are not simulated: nobody is ever due.

use async_trait::async_trait;
use berth_domain::rollout::NewRolloutEvent;
use berth_domain::{
    Condition, MachineFacts, MachineName, OperationId, RevisionId, Rollout, RolloutEvent, RolloutId,
    RolloutStatus, TenantName, Timestamp,
};
use berth_engine::records::{FleetRecords, Result};
use berth_store::conditions::Due;
use berth_store::rollouts::RolloutChange;
use berth_store::{IdempotencyRecord, Page, RolloutEventPage, Standing, TenantRecord};

use super::Database;
use crate::absent::not_kept;
use crate::audit::rollouts as audit;

#[async_trait]
impl FleetRecords for Database {
    async fn list_tenants(&self, _: Option<&str>, _: u32) -> Result<Page<TenantRecord>> {
        self.call(|tables, _| Ok(tables.list_tenants())).await
    }

    async fn platforms(&self) -> Result<Vec<String>> {
        self.call(|tables, _| Ok(tables.platforms())).await
    }

    async fn create_rollout(
        &self,
        rollout: &Rollout,
        first: NewRolloutEvent,
        _: Option<&IdempotencyRecord>,
    ) -> Result<()> {
        let laws = &self.world.laws;
        self.call(|tables, _| {
            tables.create_rollout(rollout, first);
            let page = tables.rollout_events(rollout.id, 0, 1)?;
            laws.rolled(rollout, &page.events);
            Ok(())
        })
        .await
    }

    async fn rollout(&self, id: RolloutId) -> Result<Rollout> {
        self.call(|tables, _| tables.rollout(id)).await
    }

    async fn unfinished_rollouts(&self) -> Result<Vec<(RolloutId, RolloutStatus)>> {
        self.call(|tables, _| Ok(tables.unfinished_rollouts())).await
    }

    async fn rollout_operations(&self) -> Result<usize> {
        self.call(|tables, _| Ok(tables.unfinished_of_rollouts())).await
    }

    async fn record_rollout(
        &self,
        rollout: &mut Rollout,
        change: RolloutChange,
        _: Option<&IdempotencyRecord>,
    ) -> Result<Vec<RolloutEvent>> {
        let (world, mut written) = (&self.world, rollout.clone());
        let recording = self.call(|tables, _| {
            let before = tables.rollout(rollout.id)?;
            let events = tables.record_rollout(&mut written, change.clone())?;
            audit::recorded(world, tables, &before, &change, &written);
            world.laws.rolled(&written, &events);
            Ok((written, events))
        });
        let (written, events) = recording.await?;
        *rollout = written;
        Ok(events)
    }

    async fn standings(&self, ids: &[OperationId]) -> Result<Vec<Standing>> {
        self.call(|tables, _| Ok(tables.standings(ids))).await
    }

    async fn rollout_seq(&self, id: RolloutId) -> Result<i64> {
        self.call(|tables, _| Ok(tables.rollout(id)?.last_seq)).await
    }

    async fn rollout_events(&self, id: RolloutId, after: i64, limit: u32) -> Result<RolloutEventPage> {
        self.call(|tables, _| tables.rollout_events(id, after, limit)).await
    }

    async fn due_checks(&self, _: Due, _: u32) -> Result<Vec<(TenantName, bool)>> {
        Ok(Vec::new())
    }

    async fn claim_check(&self, _: &TenantName, _: Due, _: Timestamp) -> Result<bool> {
        Ok(false)
    }

    async fn set_condition(
        &self,
        _: &TenantName,
        _: &RevisionId,
        _: &Condition,
        _: Option<&IdempotencyRecord>,
    ) -> Result<()> {
        Err(not_kept())
    }

    async fn set_checked_facts(&self, _: &MachineName, _: &MachineFacts) -> Result<()> {
        Err(not_kept())
    }
}
