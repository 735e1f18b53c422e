//! The example of `docs/src/bundle-format.md`.

use std::fmt::Write as _;

use berth_bundle::{FileMode, Finished, Meta, Writer};
use sha2::{Digest as _, Sha256};

use crate::support::{about, key, members, path, target, verified};

const PAGE: &str = include_str!("../../../../docs/src/bundle-format.md");

fn example() -> Finished<Vec<u8>> {
    let key = key();
    let services = vec![berth_bundle::ServiceAbout { name: "pages".to_owned(), data_version: None }];
    let mut writer = Writer::new(Vec::new(), about(), services, &key).unwrap();
    let of = |mode| Meta::made(mode, 1_767_323_045);
    let root = "services/pages/files/var/www";
    writer.bytes(path(format!("{root}/index.html")), of(FileMode::FILE), b"<p>Hello</p>\n").unwrap();
    writer.symlink(path(format!("{root}/ü")), target("index.html"), of(FileMode::SYMLINK)).unwrap();
    writer.finish().unwrap()
}

/// The block of the page that stands after `<!-- example: NAME -->`.
fn block(name: &str) -> &'static str {
    let (_, rest) =
        PAGE.split_once(&format!("<!-- example: {name} -->\n")).unwrap_or_else(|| panic!("no {name}"));
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split_once("```").unwrap().0.trim_end()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (at, line) in bytes.chunks(16).enumerate() {
        let pairs: Vec<_> = line
            .chunks(2)
            .map(|pair| pair.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")))
            .collect();
        let letters: String = line
            .iter()
            .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' })
            .collect();
        writeln!(text, "{:08x}: {:39}  {letters}", at * 16, pairs.join(" ")).unwrap();
    }
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_page_shows_the_bundle_that_is_written() {
    let finished = example();
    let bundle = &finished.out;
    assert!(verified(bundle).is_trusted());
    let members = members(bundle);
    let content = |name: &str| {
        let (_, from, to) = members.iter().find(|(found, ..)| found == name).unwrap();
        String::from_utf8(bundle[from + 512..*to].to_vec()).unwrap().trim_end_matches('\0').to_owned()
    };
    let part = |at: usize| {
        use base64::Engine as _;
        let part = finished.signature.split('.').nth(at).unwrap();
        String::from_utf8(base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let header = bundle[..512].iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let sum = Sha256::digest(bundle).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let file = format!("{} bytes\nSHA-256 {sum}", bundle.len());
    let expected = [
        ("bundle.json", content("bundle.json")),
        ("manifest.jsonl", content("manifest.jsonl")),
        ("header", part(0)),
        ("statement", part(1)),
        ("manifest.jws", content("manifest.jws")),
        ("first header", hex(&bundle[..header])),
        ("file", file),
    ];
    let wrong: Vec<_> = expected.iter().filter(|(name, text)| block(name) != text.trim_end()).collect();
    for (name, text) in &wrong {
        eprintln!("<!-- example: {name} -->\n{}\n", text.trim_end());
    }
    assert!(wrong.is_empty(), "the page shows something else");
}
