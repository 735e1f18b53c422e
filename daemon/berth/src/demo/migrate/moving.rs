//! The ticket, the acceptance, and both halves of the migration to their end.

use std::time::Duration;

use berth_client::Client;
use berth_contract::NewTicket;
use berth_domain::{Departure, MigrationId, MovePhase, OperationStatus};
use secrecy::SecretString;

use super::super::tenant;
use super::neighbour::Neighbour;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::{Board, Shown, follow};

/// How often it is looked whether the ticket was handed in.
const LOOK: Duration = Duration::from_millis(100);

/// Moves the tenant, as its customer and both providers would, and shows the source's half.
pub(super) async fn move_tenant(source: &Client, target: &Neighbour, output: Output) -> Result<Departure> {
    let name = tenant::name()?;
    let machine = target.machine.name().to_string().parse();
    let wanted = NewTicket::for_machine(machine.map_err(|_| Failure::local("a machine's name"))?);
    let issued = target.client.issue_ticket(&wanted).await?;
    let operation = source.migrate(&name, &SecretString::from(issued.ticket)).await?;
    let code = source.migration(&name).await?.code;
    output.aside(&format!(
        "\n  moving {} from {} to {}; both show the code {code}",
        tenant::NAME,
        source.url(),
        target.client.url()
    ));
    let accepting = accept(&target.client, issued.info.id, &code);
    let mut shown = Shown::Board(Box::new(Board::calm()));
    let (accepted, ended) = tokio::join!(accepting, follow(source, &operation, 0, &mut shown));
    accepted?;
    let ended = ended?;
    if ended.status != OperationStatus::Succeeded {
        return Err(Failure::Operation(Box::new(ended)));
    }
    Ok(source.migration(&name).await?)
}

async fn accept(target: &Client, id: MigrationId, code: &str) -> Result<()> {
    while target.ticket(id).await?.phase == MovePhase::Offered {
        tokio::time::sleep(LOOK).await;
    }
    target.accept_ticket(id, code).await?;
    Ok(())
}
