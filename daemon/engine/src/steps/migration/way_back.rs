//! The way back: with the hand-over, the source gives the target a ticket for this very tenant, by which it can return as long as it
//! is kept here. Nobody has to accept it then: it is good for the target's own key alone, and for no other tenant.

use berth_domain::{Arrival, MigrationId, Timestamp};
use berth_sign::Jwk;
use berth_store::{ArrivalRecord, StoreError};
use berth_transfer::sealed::Purpose;
use berth_transfer::{Sealed, Ticket, Url, own_token, token_hash};
use chrono::{SubsecRound as _, TimeDelta};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::super::Context;
use super::source::{Source, Wait};
use crate::arrivals;
use crate::error::StepError;
use crate::ports::Sink;

/// Who issues these tickets.
const BY: &str = "hand-over";

/// How long the way back of a tenant is open that is kept until somebody removes it.
const LONG: TimeDelta = TimeDelta::days(3650);

impl Source {
    /// What the target is given for the way back: the same each time. Nothing where it knows none, or where nobody finds this
    /// daemon.
    pub(super) async fn way_back(
        &mut self,
        context: &mut Context,
        sink: &Sink,
    ) -> Result<Option<Sealed>, StepError> {
        let url = self.departure.source.as_deref().and_then(|url| url.parse().ok());
        let Some(url) = url else { return Ok(None) };
        let view = self.wait_for(context, Wait::HandedOver, sink, |_| true).await?;
        if view.knows_way_back != Some(true) {
            return Ok(None);
        }
        let id = match self.departure.way_back {
            Some(id) => id,
            None => {
                let id = *self.departure.way_back.insert(Uuid::now_v7());
                self.keep(context).await?;
                id
            }
        };
        let ticket = self.ticket_back(context, id, url);
        let records = &context.shared.records;
        match records.arrival(id).await {
            // A predecessor issued it.
            Ok(_) => {}
            Err(StoreError::NotFound { .. }) => {
                records.create_arrival(&self.return_of(context, &ticket)?, None).await?;
            }
            Err(error) => return Err(error.into()),
        }
        let text = ticket.issue(&context.shared.exports.key);
        let (to, offer) = (&self.ticket.recipient, self.ticket.offer);
        Ok(Some(Sealed::to(to, offer, Purpose::WayBack, text.expose_secret().as_bytes())?))
    }

    fn ticket_back(&self, context: &Context, id: MigrationId, url: Url) -> Ticket {
        let key = &context.shared.exports.key;
        Ticket {
            offer: id,
            url,
            token: own_token(key, id),
            recipient: context.shared.keys.recipient(),
            identity: key.public(),
            expires_at: self.open_until(context.shared.clock.now()).trunc_subsecs(0),
        }
    }

    fn open_until(&self, now: Timestamp) -> Timestamp {
        let since = self.departure.handed_over_at.unwrap_or(now);
        self.departure.kept_until.unwrap_or(since + LONG)
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
