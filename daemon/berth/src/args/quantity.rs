//! Sizes and times as people write them; for `#[arg(value_parser = …)]`.

use std::time::Duration;

use bytesize::ByteSize;

/// A number of bytes: `21474836480`, `20GiB`, `1.5 TB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let size: ByteSize =
        text.trim().parse().map_err(|_| "must be a number of bytes, or such as 20GiB".to_owned())?;
    match size.as_u64() {
        // The library makes the largest number of what is larger.
        0 | u64::MAX => Err("must be at least one byte, and not more than can be counted".to_owned()),
        bytes => Ok(bytes),
    }
}

/// A number of seconds: `3600`, `90min`, `12h`, `7d`.
pub fn seconds(text: &str) -> Result<u64, String> {
    let rule = || "must be a number of seconds, or such as 90min, 12h or 7d".to_owned();
    let text = text.trim();
    let seconds = match text.parse() {
        Ok(seconds) => seconds,
        Err(_) => humantime::parse_duration(text).as_ref().map(Duration::as_secs).map_err(|_| rule())?,
    };
    if seconds == 0 { Err(rule()) } else { Ok(seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_counted_as_they_are_written() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("20GiB"), Ok(20 << 30));
        assert_eq!(bytes(" 1.5 kB "), Ok(1500));
        for bad in ["", "GiB", "-1", "20 parsecs", "0", "999999999999 TB", "1e5x"] {
            assert!(bytes(bad).is_err(), "{bad}: {:?}", bytes(bad));
        }
    }

    #[test]
    fn times_are_seconds_unless_they_say_otherwise() {
        assert_eq!(seconds("3600"), Ok(3600));
        assert_eq!(seconds("7d"), Ok(7 * 24 * 60 * 60));
        assert_eq!(seconds("1h 30min"), Ok(5400));
        for bad in ["", "soon", "-7d", "0", "100ms", "7 parsecs"] {
            assert!(seconds(bad).is_err(), "{bad}: {:?}", seconds(bad));
        }
    }
}
