//! The names of users and groups by their numbers.

use std::collections::HashMap;
use std::path::Path;

/// The names of users and groups.
#[derive(Debug, Clone, Default)]
pub struct Names {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Names {
    /// Those of `/etc/passwd` and `/etc/group`; none where these cannot be read.
    pub fn of_system() -> Self {
        let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
        Self { users: parse(&read("/etc/passwd")), groups: parse(&read("/etc/group")) }
    }

    /// These, such as those of the machine that the files come from.
    pub fn of(users: HashMap<u32, String>, groups: HashMap<u32, String>) -> Self {
        Self { users, groups }
    }

    /// A user's.
    pub fn user(&self, uid: u32) -> Option<String> {
        self.users.get(&uid).cloned()
    }

    /// A group's.
    pub fn group(&self, gid: u32) -> Option<String> {
        self.groups.get(&gid).cloned()
    }
}

/// `name:password:number:…`; of several names the first counts.
fn parse(text: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(_), Some(Ok(number))) =
            (fields.next(), fields.next(), fields.next().map(str::parse))
        {
            names.entry(number).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts() {
        let names = parse("root:x:0:0::/root:/bin/sh\ntoor:x:0:0\n\nbroken\ngit:x:998:998:\n");
        assert_eq!(names.len(), 2);
        assert_eq!((&names[&0][..], &names[&998][..]), ("root", "git"));
    }
}
