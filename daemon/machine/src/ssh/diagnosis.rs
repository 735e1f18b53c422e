//! What `ssh`'s words mean.
//!
//! `ssh` ends with 255 whatever went wrong with the connection; only its words tell the reasons apart. They come from
//! `sshconnect.c`, `sshconnect2.c`, `mux.c` and `packet.c` of OpenSSH and have been stable for many releases;
//! `LC_ALL=C` keeps the system's part of them in English.

use berth_domain::MachineSpec;

use crate::error::MachineError;

/// The most of `ssh`'s words that an error repeats, in characters.
const MAX_REASON: usize = 600;

/// Why a connection could not be made.
pub(crate) fn of_connecting(machine: &MachineSpec, words: &str) -> MachineError {
    let says = |text: &str| words.contains(text);
    let name = machine.name.clone();
    if says("Host key verification failed") || says("no matching host key type found") {
        return MachineError::WrongHostKey {
            machine: name,
            expected: machine.host_key.fingerprint(),
            shown: shown_fingerprint(words),
        };
    }
    let refused =
        ["Permission denied (", "Too many authentication failures", "no mutual signature algorithm"];
    if refused.iter().any(|text| says(text)) {
        let user = machine.user.as_str().to_owned();
        return MachineError::AuthRefused { machine: name, user, reason: reason(words) };
    }
    if ["unix_listener:", "muxserver_listen", "Bad configuration option"].iter().any(|text| says(text)) {
        let source = std::io::Error::other(reason(words));
        return MachineError::Io { what: "ssh could not be set up".into(), source };
    }
    MachineError::Unreachable { machine: name, reason: reason(words) }
}

/// `ssh`'s words as one line, without the frames and advice around them.
pub(crate) fn reason(words: &str) -> String {
    let lines = words
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('@') && !line.starts_with("** "));
    let lines: Vec<_> = lines.map(|line| line.strip_prefix("ssh: ").unwrap_or(line)).collect();
    let text = lines.join("; ");
    match text.chars().count() {
        0 => "ssh gave no reason".into(),
        // The end tells most: the last line is why it gave up.
        length if length > MAX_REASON => {
            format!("…{}", text.chars().skip(length - MAX_REASON).collect::<String>())
        }
        _ => text,
    }
}

/// The fingerprint on the line after “the fingerprint for the … key sent by the remote host is”.
fn shown_fingerprint(words: &str) -> Option<String> {
    let (_, after) = words.split_once("key sent by the remote host is")?;
    let fingerprint = after.split_whitespace().next()?.trim_end_matches('.');
    fingerprint.starts_with("SHA256:").then(|| fingerprint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_one_bounded_line_without_frames() {
        let words = "@@@@@\r\n@ WARNING @\r\n** WARNING: this **\r\nssh: connect to host 192.0.2.1 port 22: Connection refused\r\n";
        assert_eq!(reason(words), "connect to host 192.0.2.1 port 22: Connection refused");
        assert_eq!(reason(" \n"), "ssh gave no reason");
        assert_eq!(reason(&"x".repeat(5000)).chars().count(), MAX_REASON + 1);
    }
}
