//! Slows down those who guess tokens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;

use crate::problem::Problem;

/// How many failures one address has within [`WINDOW`].
const ALLOWED: u32 = 20;

/// How long failures count.
const WINDOW: Duration = Duration::from_secs(60);

/// How many addresses are remembered; more only come from an attack, and then the oldest are forgotten.
const REMEMBERED: usize = 10_000;

/// Failed authentications by address.
#[derive(Debug, Default)]
pub struct Throttle {
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    since: Instant,
}

impl Throttle {
    /// How long this address has to wait, if it has to.
    pub fn blocked(&self, peer: Option<IpAddr>) -> Option<Duration> {
        let failures = *self.lock().get(&peer?)?;
        let left = WINDOW.checked_sub(failures.since.elapsed())?;
        (failures.count >= ALLOWED).then_some(left)
    }

    /// Notes a failure, unless this address has to wait.
    ///
    /// # Errors
    /// A problem of status 429: it has to wait.
    pub fn failed_unless_blocked(&self, peer: Option<IpAddr>) -> Result<(), Problem> {
        match self.blocked(peer) {
            Some(wait) => Err(too_many(wait)),
            None => {
                self.failed(peer);
                Ok(())
            }
        }
    }

    /// Notes a failure.
    pub fn failed(&self, peer: Option<IpAddr>) {
        let Some(peer) = peer else { return };
        let mut failures = self.lock();
        if failures.len() >= REMEMBERED {
            failures.retain(|_, f| f.since.elapsed() < WINDOW);
        }
        if failures.len() >= REMEMBERED {
            failures.clear();
        }
        let entry = failures.entry(peer).or_insert(Failures { count: 0, since: Instant::now() });
        if entry.since.elapsed() >= WINDOW {
            *entry = Failures { count: 0, since: Instant::now() };
        }
        entry.count += 1;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many(wait: std::time::Duration) -> Problem {
    let detail = "too many requests with a wrong token came from this address";
    let mut problem =
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-failures", "Too many failures", detail);
    problem.retry_after = Some(wait.as_secs().max(1));
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_blocked_after_too_many_failures_and_others_are_not() {
        let throttle = Throttle::default();
        let guesser = Some("192.0.2.1".parse().unwrap());
        for _ in 0..ALLOWED {
            assert_eq!(throttle.blocked(guesser), None);
            throttle.failed(guesser);
        }
        assert!(throttle.blocked(guesser).is_some());
        assert_eq!(throttle.blocked(Some("192.0.2.2".parse().unwrap())), None);
    }
}
