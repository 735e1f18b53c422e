//! `berth provider`

use super::Context;
use crate::failure::Result;
use crate::table::pairs;

pub(super) async fn run(context: &Context) -> Result<()> {
    let provider = context.client.provider().await?;
    context.output.result(&provider, |provider| {
        let platform = match &provider.platform.reference {
            Some(reference) => format!("{} {reference}", provider.platform.kind),
            None => provider.platform.kind.clone(),
        };
        pairs(&[
            ("name", Some(provider.name.clone())),
            ("version", Some(provider.version.clone())),
            ("platform", Some(platform)),
            ("SSH key", Some(provider.ssh_public_key.clone())),
        ])
    });
    Ok(())
}
