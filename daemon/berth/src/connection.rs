//! Which daemon to talk to, and with which token.

use std::path::Path;

use berth_client::Client;
use secrecy::SecretString;

use crate::args::{DEFAULT_URL, Global};
use crate::demo::record::Record;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// The variable that may hold the token.
const TOKEN_VARIABLE: &str = "BERTH_TOKEN";

/// A client as the options, the environment or a running demo say.
pub fn connect(global: &Global, output: Output) -> Result<Client> {
    let url = global.url.as_deref();
    match token(global)? {
        Some(token) => Ok(Client::new(url.unwrap_or(DEFAULT_URL), token)?),
        None if url.is_none() => match Record::running() {
            Some(demo) => {
                output.aside(&format!("using the demo at {}", demo.url));
                Ok(Client::new(&demo.url, read_token(&demo.token_file)?)?)
            }
            None => Err(no_token()),
        },
        None => Err(no_token()),
    }
}

fn token(global: &Global) -> Result<Option<SecretString>> {
    if let Some(file) = &global.token_file {
        return read_token(file).map(Some);
    }
    Ok(std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()).map(SecretString::from))
}

/// The token that a file holds.
pub fn read_token(file: &Path) -> Result<SecretString> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::local(format!("the token file {} cannot be read: {error}", file.display()))
    })?;
    Ok(text.trim().to_owned().into())
}

fn no_token() -> Failure {
    Failure::advised(
        "there is no token to show the daemon",
        "give --token-file FILE or the variable BERTH_TOKEN; a daemon writes admin.token into its data folder",
    )
}
