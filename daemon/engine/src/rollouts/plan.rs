//! What comes next in a rollout, from how it stands.

use berth_domain::rollout::{RolloutError, RolloutTenantState, RolloutWave};
use berth_domain::{Rollout, RolloutStatus};

/// The code of a rollout that too many tenants failed in.
const TOO_MANY_FAILURES: &str = "too-many-failures";

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// The platform that its tenants are brought to is to be looked up.
    Platform,
    /// This wave begins.
    Wave(u32),
    /// Tenants of the wave may be deployed.
    Deploy,
    /// Something has to end first, or somebody has to say that it may go on.
    Wait,
    /// It is over.
    End(RolloutStatus, Option<RolloutError>),
}

/// What comes next. A wave is judged as soon as it is clear how it ends: with too many failures nothing is begun any more.
pub(super) fn next(rollout: &Rollout) -> Next {
    let deploying = rollout.waves.iter().any(|wave| wave.deploying > 0);
    match rollout.status {
        RolloutStatus::Aborting if deploying => Next::Wait,
        RolloutStatus::Aborting => Next::End(RolloutStatus::Aborted, None),
        RolloutStatus::Running => running(rollout, deploying),
        _ => Next::Wait,
    }
}

fn running(rollout: &Rollout, deploying: bool) -> Next {
    if rollout.spec.platform.is_some() && rollout.platform.is_none() {
        return Next::Platform;
    }
    let Some(wave) = rollout.current() else { return Next::Wave(rollout.wave + 1) };
    let allowed = rollout.spec.max_failures.at_most(wave.tenants as usize);
    match wave {
        wave if wave.failed as usize > allowed && deploying => Next::Wait,
        wave if wave.failed as usize > allowed => failed(wave, allowed),
        wave if wave.waiting > 0 => Next::Deploy,
        _ if deploying => Next::Wait,
        wave if rollout.waves.iter().any(|later| later.number > wave.number) => Next::Wave(wave.number + 1),
        _ => Next::End(RolloutStatus::Succeeded, None),
    }
}

fn failed(wave: &RolloutWave, allowed: usize) -> Next {
    let RolloutWave { number, tenants, failed, .. } = wave;
    let message = format!("{failed} of the {tenants} tenants of wave {number} failed, where {allowed} may");
    Next::End(RolloutStatus::Failed, Some(RolloutError { code: TOO_MANY_FAILURES.into(), message }))
}

/// The tenants of the wave whose turn it is, in order.
pub(super) fn waiting(rollout: &Rollout) -> impl Iterator<Item = &berth_domain::RolloutTenant> {
    let own = rollout.tenants.iter().filter(|tenant| tenant.wave == rollout.wave);
    own.filter(|tenant| tenant.state == RolloutTenantState::Waiting)
}

/// How many more tenants a rollout may begin with: as many as it asked for, and no more than its part of what all the
/// rollouts that run may have at once.
pub(super) fn room(rollout: &Rollout, all: usize, rollouts: usize, used: usize) -> usize {
    let own: usize = rollout.waves.iter().map(|wave| wave.deploying as usize).sum();
    let part = (all / rollouts.max(1)).max(1);
    let asked = rollout.spec.parallel.map_or(part, |parallel| part.min(parallel as usize));
    asked.saturating_sub(own).min(all.saturating_sub(used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_domain::rollout::{PlatformChoice, RolloutSpec, Selector, Share};
    use chrono::Utc;

    /// Three waves: 1, 2 and 7 tenants.
    fn rollout(spec: RolloutSpec) -> Rollout {
        let tenants = (0..10).map(|n| format!("t{n}").parse().unwrap()).collect();
        Rollout::new(
            RolloutSpec { waves: vec![Share::Count(1), Share::Count(2)], ..spec },
            tenants,
            "ann".into(),
            Utc::now(),
        )
    }

    fn usual() -> RolloutSpec {
        RolloutSpec::of(Selector::All)
    }

    fn set(rollout: &mut Rollout, tenants: &[usize], state: RolloutTenantState) {
        for tenant in tenants {
            rollout.tenants[*tenant].state = state;
        }
        rollout.count();
    }

    fn ends(next: &Next) -> Option<RolloutStatus> {
        match next {
            Next::End(status, _) => Some(*status),
            _ => None,
        }
    }

    #[test]
    fn a_wave_begins_only_when_the_one_before_has_gone_well() {
        use RolloutTenantState::{Deploying, Gone, Succeeded};
        let mut rollout = rollout(usual());
        assert_eq!(next(&rollout), Next::Wave(1));
        rollout.wave = 1;
        assert_eq!(next(&rollout), Next::Deploy);
        set(&mut rollout, &[0], Deploying);
        assert_eq!(next(&rollout), Next::Wait);
        set(&mut rollout, &[0], Succeeded);
        assert_eq!(next(&rollout), Next::Wave(2));
        rollout.wave = 2;
        set(&mut rollout, &[1, 2], Gone);
        assert_eq!(next(&rollout), Next::Wave(3));
        rollout.wave = 3;
        set(&mut rollout, &[3, 4, 5, 6, 7, 8, 9], Succeeded);
        assert_eq!(ends(&next(&rollout)), Some(RolloutStatus::Succeeded));
    }

    #[test]
    fn too_many_failures_end_it_once_what_runs_has_ended() {
        use RolloutTenantState::{Cancelled, Deploying, Failed, Succeeded};
        let mut rollout = rollout(RolloutSpec { max_failures: Share::Percent(50), ..usual() });
        rollout.wave = 2;
        set(&mut rollout, &[0, 2], Succeeded);
        set(&mut rollout, &[1], Failed);
        assert_eq!(next(&rollout), Next::Wave(3), "one of two may fail");
        rollout.wave = 3;
        set(&mut rollout, &[3, 4], Failed);
        set(&mut rollout, &[5], Cancelled);
        assert_eq!(next(&rollout), Next::Deploy, "three of seven may fail");
        set(&mut rollout, &[6], Failed);
        set(&mut rollout, &[7], Deploying);
        assert_eq!(next(&rollout), Next::Wait);
        set(&mut rollout, &[7], Succeeded);
        assert_eq!(ends(&next(&rollout)), Some(RolloutStatus::Failed));
    }

    #[test]
    fn what_is_paused_or_aborted_begins_nothing() {
        let mut rollout = rollout(RolloutSpec { platform: Some(PlatformChoice::Current), ..usual() });
        assert_eq!(next(&rollout), Next::Platform);
        rollout.status = RolloutStatus::Paused;
        assert_eq!(next(&rollout), Next::Wait);
        rollout.status = RolloutStatus::Aborting;
        set(&mut rollout, &[0], RolloutTenantState::Deploying);
        assert_eq!(next(&rollout), Next::Wait);
        set(&mut rollout, &[0], RolloutTenantState::Failed);
        assert_eq!(ends(&next(&rollout)), Some(RolloutStatus::Aborted));
    }

    #[test]
    fn rollouts_share_what_there_is_and_each_has_something() {
        let mut rollout = rollout(usual());
        assert_eq!((room(&rollout, 3, 1, 0), room(&rollout, 3, 2, 0), room(&rollout, 3, 9, 0)), (3, 1, 1));
        assert_eq!((room(&rollout, 3, 1, 2), room(&rollout, 3, 9, 3)), (1, 0));
        set(&mut rollout, &[0, 1], RolloutTenantState::Deploying);
        assert_eq!(room(&rollout, 3, 1, 2), 1);
        rollout.spec.parallel = Some(1);
        assert_eq!(room(&rollout, 9, 1, 2), 0);
    }
}
