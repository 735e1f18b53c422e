//! `rotate-secrets-key`: seals everything to another key.
//!
//! The new key is on the disk before anything is sealed to it; then everything is sealed anew in one transaction, which
//! also notes the key; then the file of the old one is replaced. Whenever this is stopped, the database and the note agree,
//! and the key that the note names is there: the next start, or the next run, does what is left.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use berth_seal::{About, Keys, SealError};
use berth_store::{Reseal, SealedPlace, Store};

use crate::config::Config;
use crate::secrets_key::{self, Keep};
use crate::{data_dir, opening, serve};

/// How to rotate.
#[derive(Debug, Default, clap::Args)]
pub struct Rotation {
    /// The file of the new key (an age identity); needed where the daemon cannot write its key, as with a systemd credential.
    /// Made anew when absent.
    #[arg(long, value_name = "FILE")]
    new_identity: Option<PathBuf>,
    /// The file of the present key, where it is neither in the data folder nor this command's own credential.
    #[arg(long, value_name = "FILE", requires = "new_identity")]
    identity: Option<PathBuf>,
    /// Goes on where a secret cannot be opened, as when the key was lost: it stays as it is, and is named.
    #[arg(long)]
    keep_unreadable: bool,
}

/// What was done.
#[derive(Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The public half of the key that counts now.
    pub recipient: String,
    /// How many sealed texts there are; nothing where they were sealed to that key already.
    pub sealed: Option<usize>,
    /// Those among them that could not be opened.
    pub unreadable: Vec<String>,
    /// The file that the daemon has to be given before it starts, where that is not done.
    pub to_give: Option<PathBuf>,
}

/// Seals everything to another key.
///
/// # Errors
/// A daemon runs; the keys cannot be read or written; a secret cannot be opened. Then everything is as it was.
pub async fn rotate(config: &Config, wanted: &Rotation) -> anyhow::Result<Rotated> {
    data_dir::create(&config.data_dir)?;
    let _lock = data_dir::lock(&config.data_dir).context("stop the daemon first")?;
    let _database = serve::lock_database(config).context("stop the daemon first")?;
    let store = opening::store(config).await?;
    store.migrate().await?;
    let keep = wanted.identity.clone().map_or_else(|| Keep::of(&config.data_dir), Keep::Elsewhere);
    let from = store.sealed_to().await?;
    let (known, new) = keys(&keep, wanted, from.as_deref())?;
    let recipient = new.recipient();
    let to_give = wanted.new_identity.clone().filter(|_| matches!(keep, Keep::Elsewhere(_)));
    if from.as_deref() == Some(recipient.as_str()) {
        if known.iter().all(|keys| keys.recipient() != recipient) {
            keep.prepare(&new)?;
            keep.adopt()?;
        }
        return Ok(Rotated { recipient, sealed: None, unreadable: Vec::new(), to_give });
    }
    keep.prepare(&new)?;
    let (sealed, unreadable) = seal(&store, known, from.as_deref(), new, wanted.keep_unreadable).await?;
    keep.adopt()?;
    Ok(Rotated { recipient, sealed: Some(sealed), unreadable, to_give })
}

/// The keys that what is stored may be sealed to, and the new one.
fn keys(keep: &Keep, wanted: &Rotation, noted: Option<&str>) -> anyhow::Result<(Vec<Keys>, Keys)> {
    let given = match &wanted.new_identity {
        Some(file) => {
            let mut keys = secrets_key::read(file)?;
            ensure!(keys.len() == 1, "{} must hold one identity", file.display());
            keys.pop()
        }
        None => None,
    };
    let mut known = keep.keys()?;
    let waiting = keep.next()?;
    // Everything is sealed to the one that waits: what is left of that rotation is its last step.
    let unfinished = waiting.as_ref().is_some_and(|waiting| Some(waiting.recipient().as_str()) == noted);
    let new = match (given, waiting, keep) {
        (Some(given), Some(waiting), _) if unfinished && given.recipient() != waiting.recipient() => {
            keep.adopt()?;
            known.push(waiting);
            given
        }
        (Some(given), _, _) => given,
        (None, Some(waiting), _) => waiting,
        (None, None, Keep::Folder(_)) => Keys::generate(),
        (None, None, Keep::Elsewhere(file)) => bail!(
            "the key is kept in {}, which is not the daemon's to write: give the new one with --new-identity FILE",
            file.display()
        ),
    };
    let new_is_noted = Some(new.recipient().as_str()) == noted;
    let noted_is_known = known.iter().any(|keys| noted.is_none_or(|noted| keys.recipient() == noted));
    if !new_is_noted && !noted_is_known && !wanted.keep_unreadable {
        let file = keep.file();
        match noted {
            Some(noted) => bail!(
                "the database is sealed to {noted}, which is not the key in {}: name its file with --identity",
                file.display()
            ),
            None => bail!("there is no {} yet: the daemon makes a key when it starts", file.display()),
        }
    }
    Ok((known, new))
}

async fn seal(
    store: &Store,
    known: Vec<Keys>,
    from: Option<&str>,
    new: Keys,
    keep_unreadable: bool,
) -> anyhow::Result<(usize, Vec<String>)> {
    let to = new.recipient();
    let unreadable = Arc::new(Mutex::new(Vec::new()));
    let sealer = Sealer { known, new, done: Mutex::default() };
    let missed = Arc::clone(&unreadable);
    let reseal: Reseal = Arc::new(move |place, sealed| match sealer.anew(&about(place), sealed) {
        Err(error) if keep_unreadable => {
            let mut missed = missed.lock().unwrap_or_else(PoisonError::into_inner);
            let error = error.to_string();
            // A transaction may run again, and a value stand in several revisions.
            if !missed.contains(&error) {
                missed.push(error);
            }
            Ok(sealed.to_owned())
        }
        done => done.map_err(|error| error.to_string()),
    });
    let sealed = store.reseal(from, &to, reseal).await?;
    let unreadable = unreadable.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((sealed, unreadable))
}

struct Sealer {
    known: Vec<Keys>,
    new: Keys,
    /// What was sealed anew: the same value in a tenant and in its revisions stays the same.
    done: Mutex<HashMap<String, String>>,
}

impl Sealer {
    fn anew(&self, about: &About, sealed: &str) -> Result<String, SealError> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(anew) = done.get(sealed) {
            return Ok(anew.clone());
        }
        let mut opened = self.known.iter().map(|keys| keys.open(about, sealed));
        let first = opened.next().unwrap_or_else(|| Keys::generate().open(about, sealed));
        let value = first.or_else(|error| opened.find_map(Result::ok).ok_or(error))?;
        let anew = self.new.seal(about, &value)?;
        done.insert(sealed.to_owned(), anew.clone());
        Ok(anew)
    }
}

fn about(place: &SealedPlace<'_>) -> About {
    match *place {
        SealedPlace::Secret { tenant, service, setting, version } => About {
            tenant: tenant.to_owned(),
            service: service.to_owned(),
            setting: setting.to_owned(),
            version,
        },
        SealedPlace::Nixops4State { tenant, serial } => About::nixops4(tenant, "/state", serial),
        SealedPlace::Nixops4Change { tenant, serial } => About::nixops4(tenant, "/patch", serial),
        SealedPlace::VaultKey { vault } => About::vault(vault),
        SealedPlace::Ticket { operation } => About::ticket(operation),
        SealedPlace::Offsite { operation } => About::offsite(operation),
    }
}
