//! `berth migrate` and `berth migration`: a tenant leaves for another provider.

use berth_domain::Operation;
use berth_transfer::{Ticket, TicketError};
use secrecy::SecretString;

use super::super::Context;
use super::super::input;
use super::super::tenant::followed;
use super::{proof, said};
use crate::args::migration::{Migrate, Migration};
use crate::asking::ask_for_secret;
use crate::failure::{Failure, Result};

pub(in super::super) async fn migrate(context: &Context, options: &Migrate) -> Result<()> {
    let operation = match options.undo {
        true => context.client.undo_migration(&options.tenant).await?,
        false => hand_in(context, options).await?,
    };
    if !options.undo {
        tell_the_code(context, &operation).await;
    }
    let ended = followed(context, &operation, options.watch).await;
    if options.rehearse && options.watch && !context.output.is_json() {
        tell_what_was_found(context, &operation).await;
    }
    ended
}

async fn hand_in(context: &Context, options: &Migrate) -> Result<Operation> {
    let ticket = ticket(options).await?;
    match Ticket::parse(&ticket) {
        // The daemon may be newer than this program.
        Ok(_) | Err(TicketError::Version { .. }) => {}
        // What is something else is nothing to be sent anywhere.
        Err(error) => return Err(Failure::local_error(error)),
    }
    Ok(match options.rehearse {
        true => context.client.rehearse(&options.tenant, &ticket).await?,
        false => context.client.migrate(&options.tenant, &ticket).await?,
    })
}

pub(in super::super) async fn show(context: &Context, options: &Migration) -> Result<()> {
    let Some(tenant) = &options.tenant else { return Err(Failure::Usage("name the tenant".into())) };
    let departure = context.client.migration(tenant).await?;
    if let Some(folder) = &options.proof {
        proof::write(folder, departure.manifest.as_deref(), departure.countersignature.as_deref())?;
        context.output.aside(&proof::is_in(folder));
    }
    context.output.result(&departure, said::departure);
    Ok(())
}

/// The ticket, which no other user of the host gets to see.
async fn ticket(options: &Migrate) -> Result<SecretString> {
    if let Some(file) = &options.ticket_file {
        return input::text(file).map(SecretString::from);
    }
    // A ticket that was folded on its way is pasted as several lines.
    let is_whole = |text: &SecretString| !matches!(Ticket::parse(text), Err(TicketError::Incomplete));
    let nobody = || {
        let message = "--ticket-file FILE is needed where nobody can be asked; - is standard input";
        Failure::Usage(message.into())
    };
    ask_for_secret("Ticket of the new provider (it is not shown):".into(), is_whole).await?.ok_or_else(nobody)
}

/// What a rehearsal found is told above all where it failed.
async fn tell_what_was_found(context: &Context, operation: &Operation) {
    if let Ok(departure) = context.client.migration(&operation.tenant).await
        && departure.operation == operation.id
        && let Some(found) = &departure.rehearsal
    {
        context.output.text(&said::rehearsal(found));
    }
}

/// Whoever waits at the target needs it, so it is said before anything is waited for.
async fn tell_the_code(context: &Context, operation: &Operation) {
    let tenant = &operation.tenant;
    match context.client.migration(tenant).await {
        Ok(departure) if departure.operation == operation.id => {
            context.output.aside(&said::code(&departure));
        }
        _ => context.output.aside(&format!("berth migration {tenant} shows the code for the new provider")),
    }
}
