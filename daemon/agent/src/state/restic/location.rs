//! Where a repository is, as restic takes it.

use berth_protocol::{FailureCode, Repository};

use crate::failure::{Result, failure};

/// The repository as restic takes it.
pub(super) fn location(repository: &Repository) -> Result<String> {
    let bad = |rule: &str| failure(FailureCode::BadCall, format!("/repository/url: {rule}"));
    let url = &repository.url;
    if url.chars().any(char::is_control) {
        return Err(bad("it must have no control characters"));
    }
    if url.starts_with('/') {
        return Ok(url.clone());
    }
    let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("it must be a URL or an absolute path"))?;
    if !matches!(scheme, "http" | "https") || rest.split('/').next().is_none_or(|host| host.contains('@')) {
        return Err(bad("it must be http or https, and hold no user"));
    }
    let login = match repository.user.as_str() {
        "" => String::new(),
        user => format!("{}:{}@", encoded(user), encoded(repository.password.expose())),
    };
    let slash = if rest.ends_with('/') { "" } else { "/" };
    Ok(format!("rest:{scheme}://{login}{rest}{slash}"))
}

/// A text as a part of a URL (RFC 3986, section 2.1).
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use secrecy::SecretString;

    pub(in super::super) fn repository(url: &str, user: &str, password: &str) -> Repository {
        let secret = |text: &str| SecretString::from(text).into();
        Repository { url: url.into(), user: user.into(), password: secret(password), key: secret("the-key") }
    }

    #[test]
    fn an_address_takes_user_and_password_in_and_a_folder_is_one_too() {
        let location = |url, user, password| location(&repository(url, user, password));
        assert_eq!(location("/srv/vault", "", "").unwrap(), "/srv/vault");
        assert_eq!(location("http://127.0.0.1:1/acme", "", "").unwrap(), "rest:http://127.0.0.1:1/acme/");
        let expected = "rest:https://a%40b:p%2Fw%3A%20@vault.example/acme/";
        assert_eq!(location("https://vault.example/acme/", "a@b", "p/w: ").unwrap(), expected);
        for bad in
            ["", "srv/vault", "sftp:host:/x", "s3://x/y", "http://u:p@host/", "rest:http://host/", "/a\nb"]
        {
            assert_eq!(location(bad, "", "").unwrap_err().code, FailureCode::BadCall, "{bad}");
        }
    }
}
