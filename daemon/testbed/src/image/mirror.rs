//! Which Debian mirror to use: the one that the host's apt uses.

use std::fs;
use std::path::{Path, PathBuf};

/// The host's mirror of the main Debian archive; `None` where debootstrap's default has to do.
pub(super) fn of_this_host() -> Option<String> {
    let folder = Path::new("/etc/apt/sources.list.d");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.insert(0, "/etc/apt/sources.list".into());
    files.iter().find_map(|file| {
        let text = fs::read_to_string(file).ok()?;
        match file.extension()?.to_str()? {
            "list" => from_lines(&text),
            "sources" => from_stanzas(&text),
            _ => None,
        }
    })
}

/// The one-line style of sources.list(5): `deb [options] URI suite component…`.
fn from_lines(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb")?;
        let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
        let rest = if rest.starts_with('[') { rest.split_once(']')?.1 } else { rest };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        main_archive(uri, [suite], words)
    })
}

/// The deb822 style of sources.list(5): stanzas of fields, whose values may go on in indented lines.
fn from_stanzas(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines.split(|line| line.trim().is_empty()).find_map(|stanza| {
        if words(stanza, "enabled").any(|word| word.eq_ignore_ascii_case("no")) {
            return None;
        }
        words(stanza, "types").find(|kind| *kind == "deb")?;
        words(stanza, "uris")
            .find_map(|uri| main_archive(uri, words(stanza, "suites"), words(stanza, "components")))
    })
}

fn words<'a>(stanza: &'a [&'a str], name: &'a str) -> impl Iterator<Item = &'a str> {
    let mut wanted = false;
    stanza.iter().flat_map(move |line| {
        let value = match line.split_once(':') {
            Some((field, value)) if !line.starts_with([' ', '\t']) => {
                wanted = field.eq_ignore_ascii_case(name);
                value
            }
            _ => line,
        };
        value.split_whitespace().filter(move |_| wanted)
    })
}

/// The address, if it serves the main archive (not security or backports alone, not another project's
/// packages) over HTTP and without a password, which the process list would show.
fn main_archive<'a>(
    uri: &str,
    suites: impl IntoIterator<Item = &'a str>,
    components: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let address = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://"))?;
    let is_debian = address.trim_end_matches('/').ends_with("/debian") && !address.contains('@');
    let has_release = suites.into_iter().any(|suite| !suite.contains('-') && !suite.contains('/'));
    let has_main = components.into_iter().any(|component| component == "main");
    (is_debian && has_release && has_main).then(|| uri.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_archive_is_found_in_the_one_line_style() {
        let text = "# comment\ndeb http://security.example/debian-security trixie-security main\n\
                    deb [arch=amd64 signed-by=/k] https://vendor.example/apt stable main\n\
                    deb [arch=amd64] http://mirror.example/debian/ bookworm main contrib\n";
        assert_eq!(from_lines(text).as_deref(), Some("http://mirror.example/debian/"));
    }

    #[test]
    fn the_main_archive_is_found_in_the_deb822_style() {
        let text = "Types: deb\nURIs: http://a.example/debian-security\nSuites: bookworm-security\n\
                    Components: main\n\n# comment\nTypes: deb deb-src\nURIs:\n http://b.example/debian\n\
                    Suites: bookworm bookworm-updates\nComponents: main\n";
        assert_eq!(from_stanzas(text).as_deref(), Some("http://b.example/debian"));
    }

    #[test]
    fn disabled_foreign_and_password_bearing_sources_are_passed_over() {
        let stanza =
            "Enabled: no\nTypes: deb\nURIs: http://b.example/debian\nSuites: trixie\nComponents: main\n";
        assert_eq!(from_stanzas(stanza), None);
        for line in [
            "deb http://archive.example/ubuntu noble main",
            "deb https://user:secret@b.example/debian trixie main",
            "deb cdrom:[Debian]/ trixie main",
            "deb-src http://b.example/debian trixie main",
            "deb http://b.example/debian trixie-backports main",
        ] {
            assert_eq!(from_lines(line), None, "{line}");
        }
    }
}
