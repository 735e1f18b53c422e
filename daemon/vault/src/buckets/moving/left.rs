//! What stays behind. A bucket may have millions of such objects: they are counted, and some are named.

/// How many objects are named of those that are not as they should be.
pub(super) const NAMED: usize = 10;

/// Objects that are not in the new bucket, or should not be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// How many.
    pub objects: u64,
    /// The first of them, each with why.
    pub named: Vec<String>,
}

impl Left {
    /// One more.
    pub(super) fn add(&mut self, key: &str, why: &str) {
        self.count(|| format!("{}: {why}", key.escape_debug()));
    }

    /// One more, which speaks for itself.
    pub(super) fn name(&mut self, key: &str) {
        self.count(|| key.escape_debug().to_string());
    }

    fn count(&mut self, name: impl FnOnce() -> String) {
        self.objects += 1;
        if self.named.len() < NAMED {
            self.named.push(name());
        }
    }

    /// Both.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.objects += other.objects;
        self.named.extend(other.named);
        self.named.truncate(NAMED);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_first_are_named() {
        let mut left = Left::default();
        (0..10_000).for_each(|number| left.add(&format!("{number}\n"), "gone"));
        assert_eq!((left.objects, left.named.len()), (10_000, NAMED));
        assert_eq!(left.named[0], "0\\n: gone");
    }
}
