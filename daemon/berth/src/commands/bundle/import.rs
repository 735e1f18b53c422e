//! `berth bundle import`: a bundle is sent to the daemon, verified there, and a tenant is made of it.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use berth_bundle::{Entry, ReadAt as _, ReadError, Verified};
use berth_client::{Client, ClientError};
use berth_contract::{BroughtSecret, NewImport};
use berth_domain::{BundleId, BundleStatus, IncomingBundle};
use berth_seal::Keys;
use berth_sign::TrustedKeys;
use secrecy::SecretString;
use uuid::Uuid;

use super::super::tenant::followed;
use super::super::{Context, input};
use super::counting::Counting;
use crate::args::bundle::Import;
use crate::failure::{Failure, Result};

/// How often sending is taken up again where it broke off.
const TRIES: u32 = 5;

/// How often the daemon is asked how far it is.
const LOOK: Duration = Duration::from_millis(300);

/// How many of a bundle's last bytes tell it from any other: its signature is there.
const TAIL: u64 = 64 * 1024;

pub(in super::super) async fn run(context: &Context, options: &Import) -> Result<()> {
    let secrets = match &options.identity {
        Some(identity) => opened(&options.file, identity).await?,
        None => Vec::new(),
    };
    let wish = &options.wish;
    let wanted = NewImport {
        name: wish.name.clone(),
        domain: wish.domain.clone(),
        plan: wish.plan.clone(),
        services: input::services_patch(&wish.changes)?,
        accept_signer: options.accept_signer.clone(),
        secrets,
        without_secrets: options.without_secrets,
        go_live: options.go_live,
        ..NewImport::onto(options.machine.clone())
    };
    let id = sent(&context.client, &options.file).await?;
    verified(context, id).await?;
    let operation = context.client.import_bundle(id, &wanted).await?;
    drop(wanted);
    followed(context, &operation, options.watch).await
}

/// Sends what is not there yet of a bundle.
async fn sent(client: &Client, path: &Path) -> Result<BundleId> {
    let unreadable =
        |error: std::io::Error| Failure::local(format!("{} cannot be read: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let size = file.length().map_err(unreadable)?;
    let id = id_of(&file, size).map_err(unreadable)?;
    let mut bundle = client.announce_bundle(id, size).await?;
    if bundle.status == BundleStatus::Refused {
        // This may be a better copy.
        client.remove_bundle(id).await?;
        bundle = client.announce_bundle(id, size).await?;
    }
    let mut counting = Counting::begin("send");
    let outcome = send(client, &file, &mut bundle, &mut counting).await;
    counting.end_bytes(outcome.is_ok());
    outcome.map(|()| id)
}

async fn send(
    client: &Client,
    file: &File,
    bundle: &mut IncomingBundle,
    counting: &mut Counting,
) -> Result<()> {
    let (id, size) = (bundle.id, bundle.size);
    let mut tries = TRIES;
    while bundle.status == BundleStatus::Receiving {
        let from = bundle.received;
        let mut rest = file.try_clone().map_err(Failure::local_error)?;
        rest.seek(SeekFrom::Start(from)).map_err(Failure::local_error)?;
        let gone = Arc::new(AtomicU64::new(from));
        let telling = Arc::clone(&gone);
        let tell = move |bytes| {
            telling.fetch_add(bytes, Ordering::Relaxed);
        };
        let sending = client.send_bundle(id, from, tokio::fs::File::from_std(rest), tell);
        let mut ticks = tokio::time::interval(LOOK);
        tokio::pin!(sending);
        let outcome = loop {
            tokio::select! {
                outcome = &mut sending => break outcome,
                _ = ticks.tick() => counting.tell_bytes(gone.load(Ordering::Relaxed), size),
            }
        };
        tries -= 1;
        *bundle = match outcome {
            Ok(bundle) => bundle,
            Err(error @ ClientError::Refused(_)) => return Err(error.into()),
            Err(error) if tries == 0 => return Err(error.into()),
            Err(_) => client.incoming_bundle(id).await?,
        };
    }
    counting.tell_bytes(size, size);
    Ok(())
}

/// Waits until the daemon has verified a bundle; one that it refuses is no success.
async fn verified(context: &Context, id: BundleId) -> Result<()> {
    let mut counting = Counting::begin("verify");
    let bundle = loop {
        let bundle = context.client.incoming_bundle(id).await?;
        counting.tell_bytes(bundle.verified, bundle.size);
        if bundle.status != BundleStatus::Verifying {
            break bundle;
        }
        tokio::time::sleep(LOOK).await;
    };
    counting.end_bytes(bundle.status == BundleStatus::Whole);
    match bundle.refusal {
        None => Ok(()),
        Some(refusal) => {
            context.output.aside(&refusal.problems.join("\n"));
            Err(Failure::local(format!("{} ({})", refusal.message, refusal.code)))
        }
    }
}

/// The same for the same bundle whenever it is sent, so that sending can be taken up again.
fn id_of(file: &File, size: u64) -> std::io::Result<BundleId> {
    let mut tail = vec![0; TAIL.min(size) as usize];
    let read = file.read_up_to(&mut tail, size.saturating_sub(TAIL))?;
    tail.truncate(read);
    tail.extend_from_slice(&size.to_be_bytes());
    Ok(Uuid::new_v5(&Uuid::NAMESPACE_OID, &tail))
}

/// The secrets of a bundle, which is verified before.
async fn opened(file: &Path, identity: &Path) -> Result<Vec<BroughtSecret>> {
    let identity = SecretString::from(input::text(identity)?);
    let keys = Keys::read_all(&identity).map_err(Failure::local_error)?;
    let file = file.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let mut counting = Counting::begin("open");
        let bundle = Verified::open(&file, &TrustedKeys::none(), &mut |progress| counting.tell(progress));
        counting.end(bundle.is_ok());
        let bundle = bundle.map_err(Failure::local_error)?;
        let mut secrets = Vec::new();
        let read = bundle.each::<Unopened>(&mut |entry, content| {
            let Some((service, name)) = secret(entry) else { return Ok(()) };
            let mut sealed = Vec::new();
            content.read_to_end(&mut sealed).map_err(|error| Unopened(error.to_string()))?;
            secrets.push(open(&keys, service, name, &sealed)?);
            Ok(())
        });
        read.map_err(|Unopened(why)| Failure::local(why))?;
        Ok(secrets)
    });
    reading.await.map_err(Failure::local_error)?
}

/// Why a secret could not be opened.
struct Unopened(String);

impl From<ReadError> for Unopened {
    fn from(error: ReadError) -> Self {
        Self(error.to_string())
    }
}

fn secret(entry: &Entry) -> Option<(String, String)> {
    let path = entry.path.encoded();
    let (service, name) = path.strip_prefix("secrets/")?.strip_suffix(".age")?.split_once('/')?;
    (!name.contains('/')).then(|| (service.to_owned(), name.to_owned()))
}

fn open(
    keys: &[Keys],
    service: String,
    name: String,
    sealed: &[u8],
) -> std::result::Result<BroughtSecret, Unopened> {
    let closed = || Unopened(format!("the secret {service}/{name} is sealed to another key than this"));
    let value = keys.iter().find_map(|keys| keys.open_file(sealed).ok()).ok_or_else(closed)?;
    let value = String::from_utf8(value.to_vec())
        .map_err(|_| Unopened(format!("the secret {service}/{name} is no text")))?;
    Ok(BroughtSecret { service, name, value })
}
