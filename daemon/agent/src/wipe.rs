//! Removing what a system's state contract lists: databases, directories, secrets.
//!
//! Everything that would be removed is checked before anything is. What is gone already is passed over, so a wipe
//! that was interrupted is simply asked for again.

use std::io::ErrorKind;
use std::path::Path;

use berth_protocol::Claim;

use crate::client::Client;
use crate::failure::{Result, io};
use crate::lock::Lock;
use crate::secrets;
use crate::system::System;
use crate::{directories, fence, postgres, services, state};

/// Stops the services and removes their data; tells what was removed.
pub(crate) fn wipe(claim: &Claim, path: &str, client: &mut impl Client) -> Result<Vec<String>> {
    let manifest = System::open(path)?.manifest()?;
    let contracts = || manifest.services.values().map(|service| &service.state);
    let directories: Vec<_> =
        contracts().flat_map(|state| &state.directories).map(|d| d.path.as_str()).collect();
    let databases: Vec<_> = contracts().flat_map(|state| &state.databases).map(String::as_str).collect();
    let secrets: Vec<_> = secrets::all(&manifest).collect();
    directories.iter().try_for_each(|path| directories::check(path))?;
    databases.iter().try_for_each(|name| postgres::check(name))?;
    secrets.iter().try_for_each(|(_, secret)| directories::check_file(&secret.path))?;

    state::await_restores()?;
    let _lock = Lock::machine(&format!("the removal of the data of {path}"))?;
    fence::check(claim)?;
    state::leave_nothing()?;
    services::stop(&manifest)?;
    let mut work = Work {
        client,
        removed: Vec::new(),
        done: 0,
        of: databases.len() + directories.len() + secrets.len(),
    };
    for name in postgres::existing(&databases)? {
        postgres::drop(&name)?;
        work.removed(format!("database {name}"));
    }
    if !databases.is_empty() {
        state::forget_copies()?;
    }
    work.done_so_far(databases.len());
    state::forget_rooms(&directories)?;
    state::forget_sums()?;
    state::forget_listings()?;
    for path in &directories {
        if directories::remove(path)? {
            work.removed(format!("directory {path}"));
        }
        work.done_so_far(work.done + 1);
    }
    for (name, secret) in secrets {
        let others = secrets::other_values(secret);
        if remove_file(&secret.path)? {
            work.removed(format!("secret {name}"));
        }
        for path in others {
            directories::check_file(&path)?;
            remove_file(&path)?;
        }
        work.done_so_far(work.done + 1);
    }
    Ok(work.removed)
}

/// How far it is.
struct Work<'a, C> {
    client: &'a mut C,
    removed: Vec<String>,
    done: usize,
    of: usize,
}

impl<C: Client> Work<'_, C> {
    fn removed(&mut self, what: String) {
        self.client.line(&format!("removed {what}"));
        self.removed.push(what);
    }

    fn done_so_far(&mut self, done: usize) {
        self.done = done;
        self.client.progress(done, self.of);
    }
}

fn remove_file(path: &str) -> Result<bool> {
    match directories::remove_file(Path::new(path)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io(format!("cannot remove {path}"))(error)),
    }
}
