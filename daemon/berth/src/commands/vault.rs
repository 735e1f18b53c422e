//! `berth vault …`: repositories of snapshots whose provider is gone.

use std::path::{Path, PathBuf};

use berth_contract::{NewVaultImport, NewVaultLook, RepositoryPlace, S3Place};
use berth_domain::{OffsiteSnapshot, OffsiteTenant, OffsiteVault};

use super::tenant::followed;
use super::{Context, input};
use crate::args::vault::{Import, Look, Vault, Which};
use crate::failure::{Failure, Result};
use crate::{table, words};

/// The region where nobody says one, as restic has it.
const REGION: &str = "us-east-1";

pub(super) async fn run(context: &Context, command: Vault) -> Result<()> {
    match command {
        Vault::Look(options) => look(context, &options).await,
        Vault::Import(options) => import(context, &options).await,
    }
}

async fn look(context: &Context, options: &Look) -> Result<()> {
    let Look { which, machine, wish } = options;
    let wanted = NewVaultLook {
        repository: place(which)?,
        password: password(which)?,
        snapshot: which.snapshot,
        machine: machine.clone(),
        name: wish.name.clone(),
        domain: wish.domain.clone(),
        plan: wish.plan.clone(),
        services: input::services_patch(&wish.changes)?,
    };
    let found = context.client.look_at_vault(&wanted).await?;
    context.output.result(&found, |_| said(&found));
    match found.obstacles {
        Some(obstacles) if !obstacles.is_empty() => {
            Err(Failure::local("the tenant cannot be taken in as things are"))
        }
        _ => Ok(()),
    }
}

async fn import(context: &Context, options: &Import) -> Result<()> {
    let Import { which, machine, wish, go_live, watch } = options;
    let wanted = NewVaultImport {
        repository: place(which)?,
        password: password(which)?,
        snapshot: which.snapshot,
        machine: machine.clone(),
        name: wish.name.clone(),
        domain: wish.domain.clone(),
        plan: wish.plan.clone(),
        services: input::services_patch(&wish.changes)?,
        go_live: *go_live,
    };
    let operation = context.client.import_vault(&wanted).await?;
    drop(wanted);
    followed(context, &operation, *watch).await
}

/// Where the repository lies, as restic writes it.
fn place(which: &Which) -> Result<RepositoryPlace> {
    let Some(address) = which.repository.strip_prefix("s3:") else {
        return Ok(RepositoryPlace::Folder(which.repository.clone()));
    };
    let (endpoint, bucket, prefix) = s3(address).ok_or_else(|| {
        Failure::Usage(format!("{}: must be s3:https://HOST/BUCKET/PREFIX", which.repository))
    })?;
    let region = which.region.clone().or_else(|| variable("AWS_DEFAULT_REGION"));
    Ok(RepositoryPlace::S3(S3Place {
        endpoint,
        bucket,
        prefix,
        region: region.unwrap_or_else(|| REGION.into()),
        access_key: which
            .access_key
            .clone()
            .or_else(|| variable("AWS_ACCESS_KEY_ID"))
            .ok_or_else(|| unsaid("--access-key ID", "AWS_ACCESS_KEY_ID"))?,
        secret_key: secret(&which.secret_key_file, "--secret-key-file FILE", "AWS_SECRET_ACCESS_KEY")?,
    }))
}

/// The store's address, the bucket and the prefix; without a scheme it is HTTPS.
fn s3(address: &str) -> Option<(String, String, String)> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("https", address));
    let mut parts = rest.trim_end_matches('/').splitn(3, '/');
    let (host, bucket) = (parts.next()?, parts.next()?);
    let prefix = parts.next().unwrap_or_default();
    let is_one = matches!(scheme, "https" | "http") && !host.is_empty() && !bucket.is_empty();
    is_one.then(|| (format!("{scheme}://{host}"), bucket.to_owned(), prefix.to_owned()))
}

fn password(which: &Which) -> Result<String> {
    secret(&which.password_file, "--password-file FILE", "RESTIC_PASSWORD")
}

/// Every user of a host can read a command's arguments: what is secret comes from a file or from the environment.
fn secret(file: &Option<PathBuf>, option: &str, name: &str) -> Result<String> {
    match file {
        Some(file) => Ok(input::text(Path::new(file))?.trim_end_matches(['\r', '\n']).to_owned()),
        None => variable(name).ok_or_else(|| unsaid(option, name)),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn unsaid(option: &str, variable: &str) -> Failure {
    Failure::Usage(format!("give {option}, or the variable {variable}"))
}

fn said(found: &OffsiteVault) -> String {
    let rows: Vec<_> = found.snapshots.iter().map(row).collect();
    let mut text = table::columns(&["snapshot", "made", "services", "whole"], &rows);
    text.push('\n');
    if found.older > 0 {
        text.push_str(&format!("and {} older ones\n", found.older));
    }
    if let Some(tenant) = &found.tenant {
        text.push_str(&of_tenant(tenant));
    }
    match found.obstacles.as_deref() {
        Some([]) => text.push_str("\nnothing is in the way of it here\n"),
        Some(obstacles) => {
            text.push_str("\nin the way of it here:\n");
            for obstacle in obstacles {
                text.push_str(&format!("  {}\n", words::obstacle(obstacle)));
            }
        }
        None => {}
    }
    text.trim_end().to_owned()
}

fn row(snapshot: &OffsiteSnapshot) -> Vec<String> {
    let services: Vec<_> = snapshot.services.iter().map(ToString::to_string).collect();
    let whole = match (snapshot.whole, snapshot.tenant_part, &snapshot.problem) {
        (true, ..) => "yes".to_owned(),
        (_, _, Some(problem)) => format!("no: {}", words::line(problem)),
        (_, false, _) => "no: without settings and secrets".to_owned(),
        (_, true, _) => "no: services are missing".to_owned(),
    };
    vec![snapshot.id.to_string(), words::instant(snapshot.created_at), services.join(" "), whole]
}

fn of_tenant(tenant: &OffsiteTenant) -> String {
    let was = &tenant.specification;
    let mut text = format!(
        "\n{} ({}), as it was in the snapshot {}\n",
        words::line(&was.name),
        words::line(&was.domain),
        tenant.snapshot
    );
    for (name, service) in &tenant.services {
        let version = service.data_version.as_deref().map(words::line);
        let version = version.map(|version| format!(", data of version {version}")).unwrap_or_default();
        text.push_str(&format!("  {name}{version}\n"));
    }
    text.push_str(&format!(
        "  {} secrets that services made, {} that were given\n",
        tenant.secrets.len(),
        tenant.given.len()
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_in_a_bucket_is_named_as_restic_names_it() {
        let of = |address: &str| s3(address).map(|(endpoint, bucket, prefix)| [endpoint, bucket, prefix]);
        let told = |endpoint: &str, bucket: &str, prefix: &str| {
            Some([endpoint.to_owned(), bucket.to_owned(), prefix.to_owned()])
        };
        assert_eq!(
            of("https://s3.example.org/vaults/berth/acme"),
            told("https://s3.example.org", "vaults", "berth/acme")
        );
        assert_eq!(of("http://127.0.0.1:3900/vaults"), told("http://127.0.0.1:3900", "vaults", ""));
        assert_eq!(of("s3.example.org/vaults/a/"), told("https://s3.example.org", "vaults", "a"));
        for wrong in ["", "https://", "https://host", "https://host/", "ftp://host/bucket"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
