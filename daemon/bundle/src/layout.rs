//! Where things are in a bundle.

use crate::path::{BadPath, BundlePath};

/// A database as `pg_dump --format=custom` writes it.
///
/// # Errors
/// [`BadPath`]
pub fn database(service: &str, name: &str) -> Result<BundlePath, BadPath> {
    place(&[b"services", service.as_bytes(), b"databases", format!("{name}.dump").as_bytes()])
}

/// What a service has at an absolute path of its machine.
///
/// # Errors
/// [`BadPath`], also where the path is not absolute.
pub fn files(service: &str, absolute: &[u8]) -> Result<BundlePath, BadPath> {
    let path = absolute.strip_prefix(b"/").ok_or(BadPath::Absolute)?;
    place(&[b"services", service.as_bytes(), b"files"])?.join(path)
}

/// A bucket's own folder.
///
/// # Errors
/// [`BadPath`]
pub fn bucket(service: &str, bucket: &str) -> Result<BundlePath, BadPath> {
    place(&[b"services", service.as_bytes(), b"buckets", bucket.as_bytes()])
}

/// An object of a bucket. A key with a slash at its end, which some programs make to show an empty folder, is a folder
/// here. Of a key that is no path, such as `a//b`, there is no place.
///
/// # Errors
/// [`BadPath`]
pub fn object(service: &str, bucket: &str, key: &str) -> Result<BundlePath, BadPath> {
    object_in(&self::bucket(service, bucket)?, key)
}

/// The same in a folder for the objects of one bucket, wherever that is.
///
/// # Errors
/// [`BadPath`]
pub fn object_in(bucket: &BundlePath, key: &str) -> Result<BundlePath, BadPath> {
    bucket.join(key.strip_suffix('/').unwrap_or(key).as_bytes())
}

/// A file of the flake that the tenant is deployed from.
///
/// # Errors
/// [`BadPath`]
pub fn configuration(path: &str) -> Result<BundlePath, BadPath> {
    BundlePath::try_from("configuration")?.join(path.as_bytes())
}

/// A secret, sealed with age to a recipient that the tenant chose.
///
/// # Errors
/// [`BadPath`]
pub fn secret(service: &str, name: &str) -> Result<BundlePath, BadPath> {
    place(&[b"secrets", service.as_bytes(), format!("{name}.age").as_bytes()])
}

/// Components, none of which may hold a slash.
fn place(components: &[&[u8]]) -> Result<BundlePath, BadPath> {
    if components.iter().any(|component| component.contains(&b'/')) {
        return Err(BadPath::EmptyComponent);
    }
    BundlePath::new(components.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_lead_elsewhere() {
        assert_eq!(database("gitea", "gitea").unwrap().encoded(), "services/gitea/databases/gitea.dump");
        assert_eq!(files("gitea", b"/var/lib/\xff").unwrap().encoded(), "services/gitea/files/var/lib/%FF");
        assert_eq!(object("m", "media", "a/b/").unwrap().encoded(), "services/m/buckets/media/a/b");
        for wrong in
            [database("..", "a"), database("a/b", "c"), files("a", b"relative"), files("a", b"/../b")]
        {
            assert!(wrong.is_err());
        }
        for wrong in
            [object("a", "b", "../c"), object("a", "b", "c//d"), object("a", "b", "/"), secret("", "a")]
        {
            assert!(wrong.is_err());
        }
    }
}
