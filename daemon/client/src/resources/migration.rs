//! Tenants that move from one provider to another.

use berth_contract::{IssuedTicket, NewAcceptance, NewMigration, NewTicket};
use berth_domain::{Arrival, Departure, MigrationId, Operation, TenantName};
use secrecy::{ExposeSecret as _, SecretString};

use crate::client::Client;
use crate::error::Result;

impl Client {
    /// Issues a ticket for a tenant of another provider. It is in the answer and nowhere else.
    ///
    /// # Errors
    /// As any call; `no-public-address` where the daemon has no address that others reach it by.
    pub async fn issue_ticket(&self, ticket: &NewTicket) -> Result<IssuedTicket> {
        self.post(&["v1", "tickets"]).json(ticket).read().await
    }

    /// The tickets, newest first: at most `limit`.
    ///
    /// # Errors
    /// As any call.
    pub async fn tickets(&self, limit: usize) -> Result<Vec<Arrival>> {
        self.list(&["v1", "tickets"], &[], limit).await
    }

    /// One of them, and what became of it.
    ///
    /// # Errors
    /// As any call.
    pub async fn ticket(&self, id: MigrationId) -> Result<Arrival> {
        self.get(&["v1", "tickets", &id.to_string()]).read().await
    }

    /// Accepts the tenant that somebody handed a ticket in for; `code` is what the source shows.
    ///
    /// # Errors
    /// As any call; `nothing-to-accept` before it was handed in, `obstacles` where the tenant cannot come.
    pub async fn accept_ticket(&self, id: MigrationId, code: &str) -> Result<Operation> {
        self.accept_ticket_with(id, &NewAcceptance::by(code)).await
    }

    /// The same, with settings that are to differ here.
    ///
    /// # Errors
    /// As [`Client::accept_ticket`].
    pub async fn accept_ticket_with(&self, id: MigrationId, acceptance: &NewAcceptance) -> Result<Operation> {
        self.post(&["v1", "tickets", &id.to_string(), "accept"]).json(acceptance).read().await
    }

    /// Takes a ticket back.
    ///
    /// # Errors
    /// As any call; `handed-over` once the tenant is there.
    pub async fn revoke_ticket(&self, id: MigrationId) -> Result<()> {
        self.delete(&["v1", "tickets", &id.to_string()]).send().await.map(drop)
    }

    /// Moves a tenant to the provider that issued the ticket.
    ///
    /// # Errors
    /// As any call; `operation-running` while another operation works on it, `not-active` where its services do not serve.
    pub async fn migrate(&self, name: &TenantName, ticket: &SecretString) -> Result<Operation> {
        self.hand_in(name, ticket, false).await
    }

    /// Has the provider that issued the ticket try out whether the tenant could move there; the tenant stays.
    ///
    /// # Errors
    /// As [`Client::migrate`].
    pub async fn rehearse(&self, name: &TenantName, ticket: &SecretString) -> Result<Operation> {
        self.hand_in(name, ticket, true).await
    }

    async fn hand_in(&self, name: &TenantName, ticket: &SecretString, rehearsal: bool) -> Result<Operation> {
        let body = NewMigration { ticket: ticket.expose_secret().to_owned(), rehearsal };
        self.post(&["v1", "tenants", name.as_str(), "migration"]).json(&body).read().await
    }

    /// Moves a tenant back to the provider that it came from.
    ///
    /// # Errors
    /// As [`Client::migrate`]; `no-way-back` where that provider opened none, or does not keep the tenant any more.
    pub async fn undo_migration(&self, name: &TenantName) -> Result<Operation> {
        self.post(&["v1", "tenants", name.as_str(), "migration", "undo"]).read().await
    }

    /// Takes a tenant back that another provider does not serve any more.
    ///
    /// # Errors
    /// As any call; `nothing-to-take-back` where no other provider serves it, or may serve it.
    pub async fn take_back(&self, name: &TenantName) -> Result<()> {
        self.delete(&["v1", "tenants", name.as_str(), "migration"]).send().await.map(drop)
    }

    /// How the tenant's newest migration stands.
    ///
    /// # Errors
    /// As any call.
    pub async fn migration(&self, name: &TenantName) -> Result<Departure> {
        self.get(&["v1", "tenants", name.as_str(), "migration"]).read().await
    }
}
