//! Rollouts: the same change to many tenants. Following one is [`crate::events`].

use berth_contract::{NewAbortion, NewWish};
use berth_domain::{Rollout, RolloutDraft, RolloutId};

use crate::client::Client;
use crate::error::Result;

impl Client {
    /// Begins a rollout.
    ///
    /// # Errors
    /// As any call.
    pub async fn start_rollout(&self, rollout: &RolloutDraft) -> Result<Rollout> {
        self.post(&["v1", "rollouts"]).json(rollout).read().await
    }

    /// The newest rollouts without their tenants, newest first: at most `limit`.
    ///
    /// # Errors
    /// As any call.
    pub async fn rollouts(&self, limit: usize) -> Result<Vec<Rollout>> {
        self.list(&["v1", "rollouts"], &[], limit).await
    }

    /// One rollout with its tenants.
    ///
    /// # Errors
    /// As any call.
    pub async fn rollout(&self, id: RolloutId) -> Result<Rollout> {
        self.get(&["v1", "rollouts", &id.to_string()]).read().await
    }

    /// Lets a rollout begin nothing until it is resumed.
    ///
    /// # Errors
    /// As any call; `rollout-finished` if it has ended already.
    pub async fn pause_rollout(&self, id: RolloutId) -> Result<Rollout> {
        self.post(&["v1", "rollouts", &id.to_string(), "pause"]).json(&NewWish::default()).read().await
    }

    /// Goes on with a paused rollout.
    ///
    /// # Errors
    /// As any call; `rollout-finished` if it has ended already.
    pub async fn resume_rollout(&self, id: RolloutId) -> Result<Rollout> {
        self.post(&["v1", "rollouts", &id.to_string(), "resume"]).json(&NewWish::default()).read().await
    }

    /// Ends a rollout; with `cancel_operations`, deployments that run are asked to stop as well.
    ///
    /// # Errors
    /// As any call; `rollout-finished` if it has ended already.
    pub async fn abort_rollout(&self, id: RolloutId, cancel_operations: bool) -> Result<Rollout> {
        let body = NewAbortion { cancel_operations };
        self.post(&["v1", "rollouts", &id.to_string(), "abort"]).json(&body).read().await
    }
}
