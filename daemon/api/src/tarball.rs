//! A configuration as a tarball flake: the same revision is the same bytes, whenever and wherever it is packed.

use std::io::{self, Write as _};

use berth_domain::revision::Files;
use flate2::{Compression, GzBuilder};

/// Times are all the first second of 1970, which Nix gives files in its store; owners and modes are all the same.
const TIME: u64 = 1;

/// Packs files below one folder, as `nix` wants a tarball to have (it takes the folder off).
///
/// # Errors
/// A path that a tarball cannot hold.
pub fn pack(folder: &str, files: &Files) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    tar.mode(tar::HeaderMode::Deterministic);
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(TIME);
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, format!("{folder}/{path}"), text.as_bytes())?;
    }
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    gzip.write_all(&tar.into_inner()?)?;
    gzip.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn the_same_files_are_the_same_bytes_and_come_out_as_they_went_in() {
        let files = Files::from([
            ("flake.nix".to_owned(), "{ }".to_owned()),
            ("tenant.nix".to_owned(), "{ berth.tenant = null; }\n".repeat(1000)),
        ]);
        let packed = pack("acme-0123", &files).unwrap();
        assert_eq!(packed, pack("acme-0123", &files).unwrap());
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&packed[..]));
        let found: Files = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let path = entry.path().unwrap().strip_prefix("acme-0123").unwrap().display().to_string();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                (path, text)
            })
            .collect();
        assert_eq!(found, files);
    }
}
