//! A plan as a client writes it, and the rules that it has to keep.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{BackupPlan, DrillPlan, Keep, Schedule, schedule};
use crate::invalid::{Invalid, Rule};
use crate::name::MachineName;

/// The time zone of a plan that names none.
const UTC: &str = "UTC";

/// How far a fleet's snapshots are spread where a plan does not say it; in minutes.
pub const DEFAULT_JITTER: u32 = 30;

/// How far they may be spread: half a day, in minutes.
pub const MAX_JITTER: u32 = 12 * 60;

/// How long one may wait where a plan does not say it; in minutes.
pub const DEFAULT_GRACE: u32 = 60;

/// How long one may wait at the most: a day, in minutes.
pub const MAX_GRACE: u32 = 24 * 60;

/// How long a drill may wait where a plan does not say it: a day, in minutes. Tenants that share a machine wait for each other.
pub const DEFAULT_DRILL_GRACE: u32 = 24 * 60;

/// How long a drill may wait at the most: a week, in minutes.
pub const MAX_DRILL_GRACE: u32 = 7 * 24 * 60;

/// How many of a kind can be kept.
pub const MAX_KEPT: u32 = 1000;

/// A backup plan as a client writes it: unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"schedule": "30 3 * * *", "timezone": "Europe/Berlin", "jitter_minutes": 30, "keep": {"last": 3, "daily": 7, "weekly": 4, "monthly": 12}}))]
pub struct BackupDraft {
    /// When snapshots are due: the five fields of cron (minute, hour, day of the month, month, day of the week).
    #[schema(example = "30 3 * * *")]
    pub schedule: String,
    /// The time zone of the schedule and of the days, weeks and months in `keep`, by its name in the IANA's database; UTC
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Europe/Berlin")]
    pub timezone: Option<String>,
    /// Over how many minutes tenants of the same schedule are spread: 0 to 720; 30 when absent. A tenant's share is the same
    /// whenever it is computed, and ends before the next snapshot is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 720)]
    pub jitter_minutes: Option<u32>,
    /// How many minutes a snapshot that is due may wait for another operation before it counts as missed: 1 to 1440; 60 when
    /// absent. One that was missed is made nevertheless, as soon as that is possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1440)]
    pub grace_minutes: Option<u32>,
    /// Which snapshots are kept; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<KeepDraft>,
    /// When the newest whole snapshot is tried out on a machine that is free for it; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillDraft>,
}

/// When a tenant's newest whole snapshot is tried out, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrillDraft {
    /// When drills are due: the five fields of cron, read in the plan's time zone and spread as its snapshots are.
    #[schema(example = "0 5 * * SUN")]
    pub schedule: String,
    /// The machine that is lent for them: registered, and no tenant's. Drills of several tenants may share one, and wait for each
    /// other.
    #[schema(value_type = MachineName)]
    pub machine: String,
    /// How many minutes a drill that is due may wait before it counts as missed: 1 to 10080; 1440 when absent. One that was
    /// missed is made nevertheless, as soon as that is possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10080)]
    pub grace_minutes: Option<u32>,
}

/// Which snapshots are kept: the newest of each of the last so many days, weeks and months that have one, as restic's
/// `forget` does it. At least one number is not 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeepDraft {
    /// The newest so many: 0 to 1000.
    #[schema(maximum = 1000)]
    pub last: u32,
    /// The newest of each of so many days: 0 to 1000.
    #[schema(maximum = 1000)]
    pub daily: u32,
    /// The newest of each of so many weeks, which begin with Monday: 0 to 1000.
    #[schema(maximum = 1000)]
    pub weekly: u32,
    /// The newest of each of so many months: 0 to 1000.
    #[schema(maximum = 1000)]
    pub monthly: u32,
    /// Whether snapshots that somebody asked for are counted and forgotten like those of the schedule; they are kept for good
    /// when absent.
    pub also_by_hand: bool,
}

impl TryFrom<BackupDraft> for BackupPlan {
    type Error = Invalid;

    fn try_from(draft: BackupDraft) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        let zone = draft.timezone.as_deref().unwrap_or(UTC);
        let zone = invalid.take("/timezone", schedule::zone(zone));
        let pattern = invalid.take("/schedule", schedule::pattern(&draft.schedule));
        let jitter = within(draft.jitter_minutes, DEFAULT_JITTER, 0..=MAX_JITTER);
        let jitter = invalid.take("/jitter_minutes", jitter);
        let grace = within(draft.grace_minutes, DEFAULT_GRACE, 1..=MAX_GRACE);
        let grace = invalid.take("/grace_minutes", grace);
        let keep = draft.keep.and_then(|keep| checked(keep, &mut invalid));
        let drill = draft.drill.map(|drill| checked_drill(drill, &mut invalid));
        match (zone, pattern, jitter, grace) {
            (Some(zone), Some(pattern), Some(jitter), Some(grace_minutes)) => {
                let schedule = Schedule::new(pattern, zone, jitter);
                let drill = drill.flatten().map(|(pattern, machine, grace_minutes)| DrillPlan {
                    schedule: Schedule::new(pattern, zone, jitter),
                    machine,
                    grace_minutes,
                });
                invalid.or(Self { schedule, grace_minutes, keep, drill })
            }
            _ => Err(invalid),
        }
    }
}

/// A number that may be absent and has its bounds.
fn within(wanted: Option<u32>, default: u32, bounds: std::ops::RangeInclusive<u32>) -> Result<u32, Rule> {
    let number = wanted.unwrap_or(default);
    if bounds.contains(&number) {
        return Ok(number);
    }
    Err(Rule::new("range", format!("must be {} to {}", bounds.start(), bounds.end())))
}

fn checked_drill(draft: DrillDraft, invalid: &mut Invalid) -> Option<(schedule::Pattern, MachineName, u32)> {
    let pattern = invalid.take("/drill/schedule", schedule::pattern(&draft.schedule));
    let machine = invalid.take("/drill/machine", draft.machine.parse());
    let grace = within(draft.grace_minutes, DEFAULT_DRILL_GRACE, 1..=MAX_DRILL_GRACE);
    let grace = invalid.take("/drill/grace_minutes", grace);
    Some((pattern?, machine?, grace?))
}

fn checked(draft: KeepDraft, invalid: &mut Invalid) -> Option<Keep> {
    let KeepDraft { last, daily, weekly, monthly, also_by_hand } = draft;
    let before = invalid.errors().len();
    for (field, number) in [("last", last), ("daily", daily), ("weekly", weekly), ("monthly", monthly)] {
        invalid.take(&format!("/keep/{field}"), within(Some(number), 0, 0..=MAX_KEPT));
    }
    if [last, daily, weekly, monthly] == [0; 4] {
        invalid.push("/keep", "keeps-nothing", "must keep something: at least one number above 0");
    }
    (invalid.errors().len() == before).then_some(Keep { last, daily, weekly, monthly, also_by_hand })
}

impl From<BackupPlan> for BackupDraft {
    /// With everything said that may be left out, so that equal plans are written alike.
    fn from(plan: BackupPlan) -> Self {
        let keep = plan.keep.map(|keep| {
            let Keep { last, daily, weekly, monthly, also_by_hand } = keep;
            KeepDraft { last, daily, weekly, monthly, also_by_hand }
        });
        Self {
            schedule: plan.schedule.text().to_owned(),
            timezone: Some(plan.schedule.zone().name().to_owned()),
            jitter_minutes: Some(plan.schedule.jitter_minutes()),
            grace_minutes: Some(plan.grace_minutes),
            keep,
            drill: plan.drill.map(|drill| DrillDraft {
                schedule: drill.schedule.text().to_owned(),
                machine: drill.machine.into(),
                grace_minutes: Some(drill.grace_minutes),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn broken(draft: serde_json::Value) -> Vec<String> {
        let draft: BackupDraft = serde_json::from_value(draft).unwrap();
        match BackupPlan::try_from(draft) {
            Ok(_) => Vec::new(),
            Err(invalid) => {
                invalid.errors().iter().map(|error| format!("{} {}", error.field, error.rule)).collect()
            }
        }
    }

    #[test]
    fn every_broken_rule_of_a_plan_is_told_with_its_field() {
        assert!(broken(json!({"schedule": "30 3 * * *"})).is_empty());
        assert!(
            broken(json!({"schedule": "*/5 0-6 1,15 JAN-MAR MON", "timezone": "Asia/Kathmandu"})).is_empty()
        );
        for bad in ["", "* * * *", "0 30 3 * * *", "@daily", "61 3 * * *", "30 3 * * FOO", "30 25 * * *"] {
            assert_eq!(broken(json!({"schedule": bad})), ["/schedule cron"], "{bad}");
        }
        assert_eq!(broken(json!({"schedule": "0 0 30 2 *"})), ["/schedule cron-never"]);
        let all = json!({
            "schedule": "x", "timezone": "Europe/Atlantis", "jitter_minutes": 721, "grace_minutes": 0,
            "keep": {"daily": 1001}
        });
        let expected = [
            "/timezone timezone",
            "/schedule cron",
            "/jitter_minutes range",
            "/grace_minutes range",
            "/keep/daily range",
        ];
        assert_eq!(broken(all), expected);
        assert_eq!(broken(json!({"schedule": "* * * * *", "keep": {}})), ["/keep keeps-nothing"]);
        let drill = json!({"schedule": "* * * *", "machine": "No", "grace_minutes": 10081});
        let expected = ["/drill/schedule cron", "/drill/machine dns-label", "/drill/grace_minutes range"];
        assert_eq!(broken(json!({"schedule": "* * * * *", "drill": drill})), expected);
    }

    #[test]
    fn a_plan_is_written_as_it_is_read_with_nothing_left_to_guess() {
        let draft: BackupDraft =
            serde_json::from_value(json!({"schedule": " 30  3 * * * ", "keep": {"last": 3},
                "drill": {"schedule": "0 5 * *  0", "machine": "spare"}}))
            .unwrap();
        let plan = BackupPlan::try_from(draft).unwrap();
        let written = serde_json::to_value(&plan).unwrap();
        assert_eq!(
            written,
            json!({
                "schedule": "30 3 * * *", "timezone": "UTC", "jitter_minutes": 30, "grace_minutes": 60,
                "keep": {"last": 3, "daily": 0, "weekly": 0, "monthly": 0, "also_by_hand": false},
                "drill": {"schedule": "0 5 * * 0", "machine": "spare", "grace_minutes": 1440}
            })
        );
        assert_eq!(serde_json::from_value::<BackupPlan>(written).unwrap(), plan);
    }
}
