//! Which platform a rendered flake names: the printer's line, read back.

use berth_domain::revision::Files;

use crate::pin::PlatformPin;

/// The line of `flake.nix` up to the reference.
const BEFORE: &str = "inputs.berth.url = \"";

/// The platform that a revision's files name; nothing for files that this crate did not write.
pub fn platform_of(files: &Files) -> Option<PlatformPin> {
    let (_, rest) = files.get("flake.nix")?.split_once(BEFORE)?;
    let mut reference = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return reference.parse().ok(),
            // A pin holds no control character, so what follows a backslash stands for itself.
            '\\' => reference.push(characters.next()?),
            character => reference.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RenderInput, RenderMachine, Tls, render};

    #[test]
    fn whatever_a_flake_was_pinned_to_is_read_back() {
        let (name, address) = ("vm1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        let machine = RenderMachine {
            name: &name,
            address: &address,
            system: "x86_64-linux",
            tls: Tls::None,
            ssh: None,
        };
        for pin in [
            "path:/nix/store/x-source",
            "github:a/b/0f?narHash=sha256-x%3D",
            "a\"b\\c",
            "$",
            "${x}",
            "$${x}",
            "a$",
        ] {
            let platform: PlatformPin = pin.parse().unwrap();
            let rendered =
                render(&RenderInput { tenant: None, machine: &machine, platform: &platform }).unwrap();
            assert_eq!(platform_of(&rendered.files), Some(platform), "{}", rendered.files["flake.nix"]);
        }
        assert_eq!(platform_of(&Files::new()), None);
    }
}
