//! What a rollout may do, event by event. It knows nothing of the engine, so that it can be given histories that must not be.

use std::collections::{BTreeMap, BTreeSet};

use berth_domain::rollout::{RolloutEventKind as Kind, RolloutTenantState as State, Share};
use berth_domain::{Rollout, RolloutEvent, RolloutStatus, TenantName};

/// What became of a rollout so far.
#[derive(Debug)]
pub struct History {
    waves: BTreeMap<TenantName, u32>,
    max_failures: Share,
    parallel: Option<u32>,
    wants_platform: bool,
    has_platform: bool,
    last: i64,
    /// The wave that it is at; 0 before the first.
    wave: u32,
    /// How many of that wave failed.
    failed: usize,
    /// Tenants that an operation was made for, and that it is not done with.
    open: BTreeSet<TenantName>,
    /// Tenants that it ever made an operation for, or passed over.
    met: BTreeSet<TenantName>,
    paused: bool,
    aborting: bool,
    ended: bool,
}

type Kept = Result<(), String>;

fn keep(kept: bool, law: &str) -> Kept {
    if kept { Ok(()) } else { Err(law.to_owned()) }
}

impl History {
    /// The history of a rollout of which nothing was told yet.
    pub fn of(rollout: &Rollout) -> Self {
        let waves = rollout.tenants.iter().map(|tenant| (tenant.tenant.clone(), tenant.wave));
        Self {
            waves: waves.collect(),
            max_failures: rollout.spec.max_failures,
            parallel: rollout.spec.parallel,
            wants_platform: rollout.spec.platform.is_some(),
            has_platform: false,
            last: 0,
            wave: 0,
            failed: 0,
            open: BTreeSet::new(),
            met: BTreeSet::new(),
            paused: false,
            aborting: false,
            ended: false,
        }
    }

    /// The next event.
    ///
    /// # Errors
    /// The law that it breaks.
    pub fn add(&mut self, event: &RolloutEvent) -> Kept {
        keep(event.seq == self.last + 1, "events have no holes")?;
        keep(!self.ended, "after its end, nothing happens")?;
        self.last = event.seq;
        match event.kind {
            Kind::Accepted => keep(event.seq == 1, "it is accepted once, and first"),
            Kind::PlatformReady => {
                keep(!self.has_platform && self.wants_platform, "a platform is looked up once")?;
                self.has_platform = true;
                self.check_goes_on()
            }
            Kind::WaveStarted => self.start_wave(event),
            Kind::WaveFinished => keep(event.wave == Some(self.wave), "only the wave that it is at ends"),
            Kind::TenantStarted => self.start_tenant(event),
            Kind::TenantFinished => self.finish_tenant(event),
            Kind::Paused => {
                keep(!self.paused && !self.aborting, "what does not go on cannot be paused")?;
                self.paused = true;
                Ok(())
            }
            Kind::Resumed => {
                keep(self.paused && !self.aborting, "only what is paused is resumed")?;
                self.paused = false;
                Ok(())
            }
            Kind::AbortRequested => {
                self.aborting = true;
                Ok(())
            }
            Kind::Warning => Ok(()),
            Kind::Finished => self.finish(event),
        }
    }

    fn check_goes_on(&self) -> Kept {
        keep(!self.paused, "what is paused begins nothing")?;
        keep(!self.aborting, "what is aborted begins nothing")
    }

    fn members(&self, wave: u32) -> impl Iterator<Item = &TenantName> {
        self.waves.iter().filter(move |(_, own)| **own == wave).map(|(tenant, _)| tenant)
    }

    /// Whether more of its wave failed than may.
    fn has_failed(&self) -> bool {
        self.wave > 0 && self.failed > self.max_failures.at_most(self.members(self.wave).count())
    }

    /// Whether it is done with every tenant of the wave that it is at.
    fn is_through(&self) -> bool {
        self.open.is_empty() && self.members(self.wave).all(|tenant| self.met.contains(tenant))
    }

    fn start_wave(&mut self, event: &RolloutEvent) -> Kept {
        self.check_goes_on()?;
        keep(self.has_platform == self.wants_platform, "its platform is known before it begins")?;
        keep(event.wave == Some(self.wave + 1), "waves come one after the other")?;
        keep(self.is_through(), "a wave begins once the one before has ended")?;
        keep(!self.has_failed(), "a wave begins only when the one before has gone well")?;
        (self.wave, self.failed) = (self.wave + 1, 0);
        Ok(())
    }

    fn start_tenant(&mut self, event: &RolloutEvent) -> Kept {
        self.check_goes_on()?;
        keep(!self.has_failed(), "with too many failures nothing is begun any more")?;
        let tenant = self.of_this_wave(event)?;
        keep(event.operation.is_some(), "a tenant begins with an operation")?;
        keep(self.met.insert(tenant.clone()), "a tenant has one turn")?;
        self.open.insert(tenant);
        let most = self.parallel.map_or(usize::MAX, |parallel| parallel as usize);
        keep(self.open.len() <= most, "no more are deployed at once than was asked for")
    }

    fn finish_tenant(&mut self, event: &RolloutEvent) -> Kept {
        let tenant = self.of_this_wave(event)?;
        let state = event.state.ok_or("a tenant ends somehow")?;
        if state == State::Gone {
            self.check_goes_on()?;
            return keep(self.met.insert(tenant), "only who waits can be gone");
        }
        keep(matches!(state, State::Succeeded | State::Failed | State::Cancelled), "a tenant ends somehow")?;
        keep(self.open.remove(&tenant), "only what was begun ends")?;
        self.failed += usize::from(state.is_failure());
        Ok(())
    }

    fn of_this_wave(&self, event: &RolloutEvent) -> Result<TenantName, String> {
        let tenant = event.tenant.clone().ok_or("it is said which tenant")?;
        let own = self.waves.get(&tenant).copied();
        keep(self.wave > 0 && own == Some(self.wave), "a tenant's turn comes in its wave")?;
        Ok(tenant)
    }

    fn finish(&mut self, event: &RolloutEvent) -> Kept {
        self.ended = true;
        keep(self.open.is_empty(), "it ends once what was begun has ended")?;
        match event.status {
            Some(RolloutStatus::Succeeded) => {
                let last = self.waves.values().max().copied().unwrap_or(0);
                keep(self.wave == last && self.is_through(), "it succeeds with every wave")?;
                keep(!self.has_failed(), "it succeeds only when its last wave has gone well")?;
                self.check_goes_on()
            }
            Some(RolloutStatus::Failed) => {
                let platform = self.wants_platform && !self.has_platform;
                keep(
                    self.has_failed() || platform,
                    "it fails only with too many failures, or without a platform",
                )
            }
            Some(RolloutStatus::Aborted) => keep(self.aborting, "nobody asked to abort"),
            _ => Err("it ends somehow".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_domain::rollout::{NewRolloutEvent, RolloutSpec, Selector};
    use chrono::{DateTime, Utc};

    /// A canary, then three; one of three may fail, none of one.
    fn rollout() -> Rollout {
        let tenants = (0..4).map(|n| format!("t{n}").parse().unwrap()).collect();
        let spec = RolloutSpec {
            max_failures: Share::Percent(34),
            parallel: Some(2),
            ..RolloutSpec::of(Selector::All)
        };
        let spec = RolloutSpec { waves: vec![Share::Count(1)], ..spec };
        Rollout::new(spec, tenants, "ann".into(), DateTime::<Utc>::default())
    }

    /// What is told, in a word: a wave by its number, a tenant's begin as `+0` and its end as `-0` or, failed, `!0`.
    fn told(words: &str) -> Result<(), (String, String)> {
        let rollout = rollout();
        let mut history = History::of(&rollout);
        for (seq, word) in (1..).zip(["accepted"].into_iter().chain(words.split_whitespace())) {
            let event = |kind| NewRolloutEvent::new(DateTime::<Utc>::default(), kind, word);
            let about = |kind, number: &str, state| {
                let mut tenant = rollout.tenants[number.parse::<usize>().unwrap()].clone();
                (tenant.state, tenant.operation) = (state, Some(rollout.id));
                event(kind).of_tenant(&tenant)
            };
            let event = match word {
                "accepted" => event(Kind::Accepted),
                "pause" => event(Kind::Paused),
                "resume" => event(Kind::Resumed),
                "abort" => event(Kind::AbortRequested),
                "succeeded" => event(Kind::Finished).ending(RolloutStatus::Succeeded, None),
                "failed" => event(Kind::Finished).ending(RolloutStatus::Failed, None),
                "aborted" => event(Kind::Finished).ending(RolloutStatus::Aborted, None),
                _ => match word.split_at(1) {
                    ("+", number) => about(Kind::TenantStarted, number, State::Deploying),
                    ("-", number) => about(Kind::TenantFinished, number, State::Succeeded),
                    ("!", number) => about(Kind::TenantFinished, number, State::Failed),
                    ("?", number) => about(Kind::TenantFinished, number, State::Gone),
                    _ => event(Kind::WaveStarted).of_wave(word.parse().unwrap()),
                },
            };
            history.add(&event.numbered(rollout.id, seq)).map_err(|law| (word.to_owned(), law))?;
        }
        Ok(())
    }

    #[test]
    fn a_rollout_that_keeps_to_its_waves_breaks_no_law() {
        for words in [
            "1 +0 -0 2 +1 +2 -2 +3 -1 -3 succeeded",
            "1 +0 -0 2 +1 !1 ?2 +3 -3 succeeded",
            "1 +0 pause -0 resume 2 +1 abort -1 aborted",
            "1 +0 !0 failed",
            "pause abort aborted",
        ] {
            assert_eq!(told(words), Ok(()), "{words}");
        }
    }

    #[test]
    fn a_history_that_must_not_be_is_known_by_the_event_that_makes_it_so() {
        for (words, event) in [
            ("1 +0 2", "2"),
            ("1 2", "2"),
            ("1 +0 !0 2", "2"),
            ("2", "2"),
            ("1 +0 -0 +0", "+0"),
            ("1 +1", "+1"),
            ("1 pause +0", "+0"),
            ("1 abort +0", "+0"),
            ("1 +0 -0 2 +1 !1 +2 !2 +3", "+3"),
            ("1 +0 -0 2 +1 +2 +3", "+3"),
            ("1 +0 -0 -0", "-0"),
            ("1 +0 ?0", "?0"),
            ("1 +0 abort aborted", "aborted"),
            ("1 +0 -0 aborted", "aborted"),
            ("1 +0 -0 failed", "failed"),
            ("1 +0 -0 succeeded", "succeeded"),
            ("1 +0 !0 failed pause", "pause"),
            ("1 pause resume resume", "resume"),
        ] {
            assert_eq!(told(words).unwrap_err().0, event, "{words}");
        }
    }
}
