//! Secrets that are made from others of the same service, and made anew when those change.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use berth_domain::manifest::{Generator, Secret};
use rustix::fs::OFlags;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::vapid;

/// The values of those secrets of a service that stand before the one that is made.
pub(super) type Known = BTreeMap<String, SecretString>;

/// The longest secret that is read back, in bytes.
pub(super) const LONGEST: u64 = 64 * 1024;

/// What a derived secret must hold; nothing if it is not derived.
pub(super) fn derive(generator: &Generator, known: &Known) -> std::io::Result<Option<SecretString>> {
    match generator {
        Generator::VapidPublic { of } => vapid::public(get(known, of)?).map(Some),
        Generator::Template { text } => fill(text, known).map(Some),
        _ => Ok(None),
    }
}

fn fill(text: &str, known: &Known) -> std::io::Result<SecretString> {
    let mut filled = Zeroizing::new(String::new());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or_else(|| refused("its text has {{ without }}"))?;
        filled.push_str(before);
        filled.push_str(get(known, name)?.expose_secret());
        rest = after;
    }
    filled.push_str(rest);
    Ok(SecretString::from(filled.as_str()))
}

fn get<'a>(known: &'a Known, name: &str) -> std::io::Result<&'a SecretString> {
    known.get(name).ok_or_else(|| refused(format!("no secret “{name}” stands before it")))
}

fn refused(problem: impl Into<String>) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidInput, problem.into())
}

/// Reads a secret's file; nothing where it is not there. Never through a link.
pub(super) fn read(secret: &Secret) -> std::io::Result<Option<SecretString>> {
    let file = match open(Path::new(&secret.path)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Zeroizing::new(String::new());
    if file.take(LONGEST + 1).read_to_string(&mut text)? as u64 > LONGEST {
        return Err(refused("it is too long for a secret"));
    }
    Ok(Some(SecretString::from(text.as_str())))
}

/// Opens a regular file, never through a link.
pub(super) fn open(path: &Path) -> std::io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(refused("it is not a regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_in_the_secrets_that_it_names_and_nothing_else() {
        let known =
            Known::from([("a".into(), SecretString::from("{{b}}")), ("b".into(), SecretString::from("2"))]);
        let filled = |text| fill(text, &known).map(|filled| filled.expose_secret().to_owned());
        assert_eq!(filled("A={{a}}\nB={{b}} {}").unwrap(), "A={{b}}\nB=2 {}");
        assert!(filled("{{c}}").unwrap_err().to_string().contains("“c”"));
        assert!(filled("{{a").is_err());
    }
}
