//! Users and groups, as `/etc/passwd` and `/etc/group` list them (passwd(5), group(5)). NixOS writes both whole.

use std::collections::HashMap;
use std::path::Path;

/// Names to numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Accounts {
    users: HashMap<String, u32>,
    groups: HashMap<String, u32>,
}

impl Accounts {
    /// This machine's. A file that cannot be read lists nobody.
    pub(crate) fn read() -> Self {
        Self::read_from(Path::new("/etc"))
    }

    fn read_from(etc: &Path) -> Self {
        let numbers = |file: &str| {
            let text = std::fs::read(etc.join(file)).unwrap_or_default();
            parse(&String::from_utf8_lossy(&text))
        };
        Self { users: numbers("passwd"), groups: numbers("group") }
    }

    /// A user's number.
    pub(crate) fn user(&self, name: &str) -> Option<u32> {
        self.users.get(name).copied()
    }

    /// The name of a user with this number; of several, the first in the alphabet.
    pub(crate) fn user_name(&self, number: u32) -> Option<&str> {
        name_of(&self.users, number)
    }

    /// The same of a group.
    pub(crate) fn group_name(&self, number: u32) -> Option<&str> {
        name_of(&self.groups, number)
    }

    #[cfg(test)]
    pub(crate) fn of(users: &[(&str, u32)], groups: &[(&str, u32)]) -> Self {
        let map = |pairs: &[(&str, u32)]| {
            pairs.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
        };
        Self { users: map(users), groups: map(groups) }
    }

    /// A group's number.
    pub(crate) fn group(&self, name: &str) -> Option<u32> {
        self.groups.get(name).copied()
    }
}

fn name_of(numbers: &HashMap<String, u32>, wanted: u32) -> Option<&str> {
    numbers.iter().filter(|(_, number)| **number == wanted).map(|(name, _)| name.as_str()).min()
}

/// In both files the first field is the name and the third its number.
fn parse(text: &str) -> HashMap<String, u32> {
    let lines = text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, number) = (fields.next()?, fields.next()?, fields.next()?);
        Some((name.to_owned(), number.parse().ok()?))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_found_and_odd_lines_passed_over() {
        let etc = tempfile::tempdir().unwrap();
        std::fs::write(etc.path().join("passwd"), "root:x:0:0::/root:/bin/sh\n+\ngitea:x:987:986::/:/\n")
            .unwrap();
        std::fs::write(etc.path().join("group"), "git:x:986:gitea\nbad:x:-1:\n").unwrap();
        let accounts = Accounts::read_from(etc.path());
        assert_eq!(accounts.user("gitea"), Some(987));
        assert_eq!(accounts.group("git"), Some(986));
        assert_eq!((accounts.user_name(987), accounts.group_name(1)), (Some("gitea"), None));
        assert_eq!((accounts.user("git"), accounts.group("bad")), (None, None));
    }
}
