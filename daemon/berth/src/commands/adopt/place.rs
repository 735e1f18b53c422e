//! Where something is in a file, as people write it in Nix: `berth.tenant.services.gitea.app_name`.

use berth_nix::data::Step;

/// A place in a file's value.
pub(super) fn written(place: &[Step]) -> String {
    let mut text = String::new();
    for step in place {
        match step {
            Step::Name(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&attribute(name));
            }
            Step::Item(number) => text.push_str(&format!("[{number}]")),
        }
    }
    text
}

/// The field that the API names by a JSON pointer, as an attribute of its file.
pub(super) fn of_pointer(pointer: &str) -> String {
    if pointer == "/machine" {
        return "berth.machine.name".into();
    }
    let parts = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"));
    let steps = ["berth".to_owned(), "tenant".to_owned()]
        .into_iter()
        .chain(parts)
        .map(|part| part.parse().map_or(Step::Name(part), Step::Item));
    written(&steps.collect::<Vec<_>>())
}

/// A name as it stands in Nix: quoted unless it is an identifier.
fn attribute(name: &str) -> String {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-'".contains(c));
    if first && rest { name.to_owned() } else { format!("{name:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_in_nix() {
        assert_eq!(of_pointer("/services/gitea/app_name"), "berth.tenant.services.gitea.app_name");
        assert_eq!(of_pointer("/ssh_keys/0"), "berth.tenant.ssh_keys[0]");
        assert_eq!(of_pointer("/services/a~1b"), "berth.tenant.services.\"a/b\"");
        assert_eq!(of_pointer("/machine"), "berth.machine.name");
    }
}
