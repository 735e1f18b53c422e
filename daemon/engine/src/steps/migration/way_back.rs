//! The way back: with the hand-over, the source gives the target a ticket for this very tenant, by which it can return as long as it
//! is kept here. Nobody has to accept it then: it is good for the target's own key alone, and for no other tenant.

use berth_domain::Arrival;
use berth_sign::Jwk;
use berth_store::{ArrivalRecord, StoreError};
use berth_transfer::sealed::Purpose;
use berth_transfer::{Sealed, Ticket, Url, own_token, token_hash};
use chrono::{SubsecRound as _, TimeDelta};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::super::Context;
use super::source::{Source, refused};
use crate::arrivals;
use crate::error::StepError;
use crate::ports::{Report, Sink};

/// Who issues these tickets.
const BY: &str = "hand-over";

/// How long the way back of a tenant is open that is kept until somebody removes it.
const LONG: TimeDelta = TimeDelta::days(3650);

impl Source {
    /// Issues the ticket, before anything is stopped for good: what can fail, fails while the tenant stays. Nothing where the target
    /// knows no way back, or where nobody finds this daemon.
    pub(super) async fn open_the_way_back(&mut self, context: &Context) -> Result<(), StepError> {
        let records = &context.shared.records;
        let knows = self.target.view().await.map_err(refused)?.knows_way_back == Some(true);
        self.departure.kept_until = context.shared.options.moved.kept_until(context.shared.clock.now());
        if self.url().is_some() && knows {
            self.departure.way_back.get_or_insert_with(Uuid::now_v7);
        }
        self.keep(context).await?;
        let Some(ticket) = self.ticket_back(context) else { return Ok(()) };
        match records.arrival(ticket.offer).await {
            // A predecessor issued it.
            Ok(_) => Ok(()),
            Err(StoreError::NotFound { .. }) => {
                Ok(records.create_arrival(&self.return_of(context, &ticket)?, None).await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What the target is given for the way back: the same each time. From the hand-over on nothing that is wrong with it keeps the
    /// tenant from going.
    pub(super) fn way_back(&self, context: &Context, sink: &Sink) -> Option<Sealed> {
        let ticket = self.ticket_back(context)?;
        let text = ticket.issue(&context.shared.exports.key);
        let (to, offer) = (&self.ticket.recipient, self.ticket.offer);
        match Sealed::to(to, offer, Purpose::WayBack, text.expose_secret().as_bytes()) {
            Ok(sealed) => Some(sealed),
            Err(error) => {
                sink(Report::Warning(format!("there will be no way back: {error}")));
                None
            }
        }
    }

    fn url(&self) -> Option<Url> {
        self.departure.source.as_deref().and_then(|url| url.parse().ok())
    }

    fn ticket_back(&self, context: &Context) -> Option<Ticket> {
        let (id, key) = (self.departure.way_back?, &context.shared.exports.key);
        let until = self.departure.kept_until.unwrap_or_else(|| context.shared.clock.now() + LONG);
        Some(Ticket {
            offer: id,
            url: self.url()?,
            token: own_token(key, id),
            recipient: context.shared.keys.recipient(),
            identity: key.public(),
            expires_at: until.trunc_subsecs(0),
        })
    }

    fn return_of(&self, context: &Context, ticket: &Ticket) -> Result<ArrivalRecord, StepError> {
        let internal = |error: serde_json::Error| StepError::failed("internal", error.to_string());
        let (machine, now) = (context.machine.clone(), context.shared.clock.now().trunc_subsecs(3));
        let arrival = Arrival::offered(ticket.offer, machine, BY.into(), now, ticket.expires_at);
        let tenant = Some(context.tenant.clone());
        Ok(ArrivalRecord {
            arrival: Arrival { tenant, returns: Some(self.departure.id), ..arrival },
            token_hash: token_hash(&ticket.token).to_string(),
            serial: 1,
            claim: None,
            source_key: Some(serde_json::to_string(&Jwk::of(&self.ticket.identity)).map_err(internal)?),
            handover: None,
        })
    }

    /// Nobody comes back who never left.
    pub(super) async fn close_the_way_back(&mut self, context: &Context) -> Result<(), StepError> {
        self.departure.kept_until = None;
        let Some(id) = self.departure.way_back.take() else { return Ok(()) };
        let now = context.shared.clock.now();
        let revoke = |record: &mut ArrivalRecord| {
            record.arrival.revoked_at.get_or_insert(now);
            Ok::<_, StoreError>(())
        };
        match arrivals::change(&*context.shared.records, Some(context.hold()), id, revoke).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
