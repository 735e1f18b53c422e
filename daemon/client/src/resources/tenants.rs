//! Tenants: creating, changing, deploying and deleting them.

use berth_contract::{Configuration, NewCheck, NewDeployment, NewReboot, NewRollback, RevisionInfo, Tenant};
use berth_domain::{Condition, Operation, RevisionId, TenantDraft, TenantName};
use reqwest::StatusCode;
use reqwest::header::{HeaderValue, IF_MATCH};

use crate::client::Client;
use crate::error::Result;

/// How a tenant is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeleteTenant {
    /// Whether its data on the machine is removed as well.
    pub wipe: bool,
    /// Whether to forget it without its machine, which is gone for good.
    pub abandon: bool,
}

/// What deleting a tenant led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Deleted {
    /// It never was deployed and is gone.
    Gone,
    /// It is being taken off its machine.
    Operation(Box<Operation>),
}

/// What putting a tenant led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Put {
    /// There was none of that name.
    Created(Box<Tenant>),
    /// It is now as it was put, be it by this or already before.
    Updated(Box<Tenant>),
}

impl Client {
    /// Creates a tenant.
    ///
    /// # Errors
    /// As any call; `exists` if there is one of that name.
    pub async fn create_tenant(&self, tenant: &TenantDraft) -> Result<Tenant> {
        self.post(&["v1", "tenants"]).json(tenant).read().await
    }

    /// Every tenant that the token may see.
    ///
    /// # Errors
    /// As any call.
    pub async fn tenants(&self) -> Result<Vec<Tenant>> {
        self.list(&["v1", "tenants"], &[], usize::MAX).await
    }

    /// One tenant.
    ///
    /// # Errors
    /// As any call.
    pub async fn tenant(&self, name: &TenantName) -> Result<Tenant> {
        self.get(&["v1", "tenants", name.as_str()]).read().await
    }

    /// Creates a tenant or makes it what `tenant` says. To change one, give the version that the change is based on.
    ///
    /// # Errors
    /// As any call; `exists` if there is another of that name and no version was given, `changed-meanwhile` if it has
    /// another version by now.
    pub async fn put_tenant(
        &self,
        name: &TenantName,
        tenant: &TenantDraft,
        based_on: Option<i64>,
    ) -> Result<Put> {
        let version = based_on.and_then(|version| HeaderValue::try_from(format!("\"{version}\"")).ok());
        let call = self.put(&["v1", "tenants", name.as_str()]).header(IF_MATCH, version);
        let answer = call.json(tenant).send().await?;
        let created = answer.status == StatusCode::CREATED;
        let tenant = Box::new(answer.read()?);
        Ok(if created { Put::Created(tenant) } else { Put::Updated(tenant) })
    }

    /// Finds out whether [`Client::put_tenant`] would succeed, and changes nothing.
    ///
    /// # Errors
    /// As [`Client::put_tenant`].
    pub async fn check_tenant(
        &self,
        name: &TenantName,
        tenant: &TenantDraft,
        based_on: i64,
    ) -> Result<Tenant> {
        let version = HeaderValue::try_from(format!("\"{based_on}\"")).ok();
        let call = self.put(&["v1", "tenants", name.as_str()]).query("dry_run", true);
        call.header(IF_MATCH, version).json(tenant).read().await
    }

    /// Deletes a tenant: at once if it never was deployed, else by an operation.
    ///
    /// # Errors
    /// As any call.
    pub async fn delete_tenant(&self, name: &TenantName, how: DeleteTenant) -> Result<Deleted> {
        let call = self
            .delete(&["v1", "tenants", name.as_str()])
            .query("data", if how.wipe { "wipe" } else { "keep" })
            .query("abandon", how.abandon);
        let answer = call.send().await?;
        if answer.status == StatusCode::NO_CONTENT {
            return Ok(Deleted::Gone);
        }
        answer.read().map(|operation| Deleted::Operation(Box::new(operation)))
    }

    /// The files that a tenant is deployed from.
    ///
    /// # Errors
    /// As any call.
    pub async fn configuration(&self, name: &TenantName) -> Result<Configuration> {
        self.get(&["v1", "tenants", name.as_str(), "configuration"]).read().await
    }

    /// The files of one of its revisions.
    ///
    /// # Errors
    /// As any call.
    pub async fn configuration_of(&self, name: &TenantName, revision: &RevisionId) -> Result<Configuration> {
        let call = self.get(&["v1", "tenants", name.as_str(), "configuration"]);
        call.query("revision", revision).read().await
    }

    /// Its revisions, newest first.
    ///
    /// # Errors
    /// As any call.
    pub async fn revisions(&self, name: &TenantName) -> Result<Vec<RevisionInfo>> {
        self.list(&["v1", "tenants", name.as_str(), "revisions"], &[], usize::MAX).await
    }

    /// Finds out what a deployment would change: of the tenant as `tenant` says, or as it is specified now. The answer is
    /// [`Client::preview`] of the operation once it has ended.
    ///
    /// # Errors
    /// As any call, and as [`Client::put_tenant`]; `operation-running` while another operation works on it.
    pub async fn start_preview(&self, name: &TenantName, tenant: Option<&TenantDraft>) -> Result<Operation> {
        let call = self.post(&["v1", "tenants", name.as_str(), "preview"]);
        match tenant {
            Some(tenant) => call.json(tenant),
            None => call,
        }
        .read()
        .await
    }

    /// Deploys a tenant as it is specified now.
    ///
    /// # Errors
    /// As any call; `operation-running` while another operation works on it.
    pub async fn deploy(&self, name: &TenantName) -> Result<Operation> {
        self.post(&["v1", "tenants", name.as_str(), "deployments"])
            .json(&NewDeployment::default())
            .read()
            .await
    }

    /// Brings an earlier revision back: the one that was deployed before, unless `to` names another.
    ///
    /// # Errors
    /// As any call; `operation-running` while another operation works on it, `no-earlier-revision` where there is none.
    pub async fn rollback(&self, name: &TenantName, to: Option<RevisionId>) -> Result<Operation> {
        self.post(&["v1", "tenants", name.as_str(), "rollback"])
            .json(&NewRollback { to_revision: to })
            .read()
            .await
    }

    /// Starts a tenant's machine anew; with `in_window`, only within its maintenance window.
    ///
    /// # Errors
    /// As any call; `operation-running` while another operation works on it, `not-deployed` before it was deployed,
    /// `outside-window` outside of the window.
    pub async fn reboot(&self, name: &TenantName, in_window: bool) -> Result<Operation> {
        self.post(&["v1", "tenants", name.as_str(), "reboot"]).json(&NewReboot { in_window }).read().await
    }

    /// Looks whether a tenant's machine still is what was committed.
    ///
    /// # Errors
    /// As any call; `operation-running` while an operation works on it, `not-deployed` before it was deployed.
    pub async fn check(&self, name: &TenantName) -> Result<Condition> {
        self.post(&["v1", "tenants", name.as_str(), "check"]).json(&NewCheck::default()).read().await
    }
}
