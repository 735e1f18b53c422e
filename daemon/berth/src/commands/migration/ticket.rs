//! `berth ticket …`: a tenant of another provider comes here.

use berth_contract::{NewAcceptance, NewTicket};
use berth_domain::MigrationId;
use berth_transfer::same_code;

use super::super::tenant::followed;
use super::super::{Context, input};
use super::{proof, said};
use crate::args::migration::{Issue, Ticket};
use crate::asking::{ask_for, is_attended};
use crate::failure::{Failure, Result};

pub(in super::super) async fn run(context: &Context, command: Ticket) -> Result<()> {
    let Context { client, output } = context;
    match command {
        Ticket::Issue(options) => issue(context, options).await?,
        Ticket::List { limit } => {
            output.result(&client.tickets(limit).await?, |tickets| said::tickets(tickets))
        }
        Ticket::Show { id, proof: folder } => {
            let arrival = client.ticket(id).await?;
            if let Some(folder) = &folder {
                proof::write(folder, arrival.manifest.as_deref(), arrival.countersignature.as_deref())?;
                output.aside(&proof::is_in(folder));
            }
            output.result(&arrival, said::arrival);
        }
        Ticket::Accept { id, code, changes, watch } => {
            // What cannot be read is known before anybody is asked.
            let services = input::services_patch(&changes)?;
            let code = match code {
                Some(code) => code,
                None => ask_for_the_code(context, id).await?,
            };
            let operation = client.accept_ticket_with(id, &NewAcceptance { code, services }).await?;
            followed(context, &operation, watch).await?;
        }
        Ticket::Revoke { id } => {
            client.revoke_ticket(id).await?;
            output.result(&serde_json::json!({"revoked": id}), |_| format!("{id} opens nothing any more"));
        }
    }
    Ok(())
}

async fn issue(context: &Context, options: Issue) -> Result<()> {
    let services = options.services.into_iter().collect();
    let new = NewTicket {
        machine: options.machine,
        tenant: options.tenant,
        plan: options.plan,
        services: Some(services).filter(|services: &std::collections::BTreeSet<_>| !services.is_empty()),
        max_bytes: options.max_bytes,
        expires_in_seconds: options.expires_in,
    };
    let issued = context.client.issue_ticket(&new).await?;
    context.output.aside(&said::issued(&issued.info));
    // Alone, so that it can go straight into a file or a mail.
    context.output.result(&issued, |issued| issued.ticket.clone());
    Ok(())
}

/// Shows who wants to come, and asks for what the source shows.
async fn ask_for_the_code(context: &Context, id: MigrationId) -> Result<String> {
    let unattended =
        || Failure::Usage("accepting a tenant needs --code CODE where nobody can be asked".into());
    if !is_attended() {
        return Err(unattended());
    }
    let arrival = context.client.ticket(id).await?;
    let Some(code) = &arrival.code else {
        let advice = "the customer hands it in at the old provider: berth migrate TENANT";
        return Err(Failure::advised("nobody has handed the ticket in yet", advice));
    };
    context.output.aside(&said::arrival(&arrival));
    if !arrival.obstacles.is_empty() {
        return Err(Failure::advised("the tenant cannot come yet", said::AFTER_OBSTACLES));
    }
    let typed = ask_for("Code that the source shows:".into()).await.ok_or(Failure::Unanswered)?;
    if same_code(&typed, code) {
        return Ok(typed.trim().to_owned());
    }
    let advice = "have the source read it out once more; if it stays another, somebody stands between you: \
                  berth ticket revoke";
    Err(Failure::advised("that is not the code that is shown here; nothing was accepted", advice))
}
