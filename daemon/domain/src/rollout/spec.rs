//! What a rollout is asked for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::share::{Share, ShareDraft};
use crate::invalid::{Invalid, Rule};
use crate::name::{Label, ServiceName, TenantName};
use crate::tenant::TenantSpec;

/// How many waves can be asked for.
pub const MAX_WAVES: usize = 50;

/// How many tenants can be named.
pub const MAX_TENANTS: usize = 10_000;

/// How many tenants may be deployed at once at the most.
pub const MAX_PARALLEL: u32 = 1000;

/// The word for the platform that the daemon is configured with.
const CURRENT: &str = "current";

/// What a flake's reference may begin with: what others serve, and what nobody can change any more. A folder of this host
/// would be copied to where everybody can read it.
const FOREIGN: &[&str] = &[
    "github:",
    "gitlab:",
    "sourcehut:",
    "https://",
    "tarball+https://",
    "git+https://",
    "git+ssh://",
    "path:/nix/store/",
];

/// A rollout as a client writes it: unchecked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"select": {"service": "mastodon"}, "waves": [1, "10%"], "max_failures": "5%", "platform": "current"}))]
pub struct RolloutDraft {
    /// Which tenants.
    pub select: SelectorDraft,
    /// How many tenants each wave has; whatever these leave is the last wave. One tenant, then a tenth, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 50)]
    pub waves: Option<Vec<ShareDraft>>,
    /// How many tenants of a wave may fail without stopping the rollout; a percentage is of the wave. None when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<ShareDraft>,
    /// How many tenants are deployed at once at the most: 1 to 1000. The daemon has a bound of its own, which holds when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub parallel: Option<u32>,
    /// The platform that the tenants are brought to: `current` for the one that the daemon is configured with, or a
    /// flake reference. Each tenant keeps its own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "current")]
    pub platform: Option<String>,
}

/// Which tenants: exactly one of these. But for `tenants`, only those that were deployed before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectorDraft {
    /// `true`: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// Those that have this service enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ServiceName>)]
    pub service: Option<String>,
    /// These, in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<TenantName>>, min_items = 1, max_items = 10000)]
    pub tenants: Option<Vec<String>>,
    /// Those that have this label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Label>)]
    pub label: Option<String>,
}

/// Which tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// All that were deployed.
    All,
    /// Those deployed ones that have a service enabled.
    Service(ServiceName),
    /// These, in this order.
    Tenants(Vec<TenantName>),
    /// Those deployed ones that have a label.
    Label(Label),
}

/// The platform that tenants are brought to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlatformChoice {
    /// The one that the daemon is configured with.
    Current,
    /// Another flake's.
    Flake(String),
}

/// A checked rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutSpec {
    /// Which tenants.
    pub select: Selector,
    /// How many each wave has; what they leave is the last wave.
    pub waves: Vec<Share>,
    /// How many of a wave may fail.
    pub max_failures: Share,
    /// How many are deployed at once, where that was asked for.
    pub parallel: Option<u32>,
    /// The platform that they are brought to; each keeps its own when absent.
    pub platform: Option<PlatformChoice>,
}

impl RolloutSpec {
    /// A rollout as it is where nothing else was asked for.
    pub fn of(select: Selector) -> Self {
        let waves = vec![Share::Count(1), Share::Percent(10)];
        Self { select, waves, max_failures: Share::Count(0), parallel: None, platform: None }
    }

    /// How many of `total` tenants each wave has. Waves that would have none are left out.
    pub fn wave_sizes(&self, total: usize) -> Vec<usize> {
        let mut left = total;
        let asked = self.waves.iter().map(|share| share.at_least(total));
        let mut sizes: Vec<usize> = asked
            .map(|size| {
                let size = size.min(left);
                left -= size;
                size
            })
            .collect();
        sizes.push(left);
        sizes.retain(|size| *size > 0);
        sizes
    }
}

impl Selector {
    /// Whether a tenant that was deployed is meant.
    pub fn matches(&self, tenant: &TenantSpec) -> bool {
        match self {
            Self::All => true,
            Self::Service(name) => tenant.services.get(name).is_some_and(|selection| selection.enable),
            Self::Tenants(names) => names.contains(&tenant.name),
            Self::Label(label) => tenant.labels.contains(label),
        }
    }
}

impl TryFrom<RolloutDraft> for RolloutSpec {
    type Error = Invalid;

    fn try_from(draft: RolloutDraft) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        let select = selector(draft.select, &mut invalid);
        let waves = draft.waves.map(|waves| check_waves(waves, &mut invalid));
        let max_failures =
            draft.max_failures.and_then(|share| invalid.take("/max_failures", share.try_into()));
        if draft.parallel.is_some_and(|parallel| !(1..=MAX_PARALLEL).contains(&parallel)) {
            invalid.push("/parallel", "range", format!("must be between 1 and {MAX_PARALLEL}"));
        }
        let platform = draft.platform.map(|text| invalid.take("/platform", choice(text)));
        match select {
            Some(select) if invalid.is_empty() => {
                let usual = Self::of(select);
                Ok(Self {
                    waves: waves.unwrap_or(usual.waves),
                    max_failures: max_failures.unwrap_or(usual.max_failures),
                    parallel: draft.parallel,
                    platform: platform.flatten(),
                    select: usual.select,
                })
            }
            _ => Err(invalid),
        }
    }
}

fn selector(draft: SelectorDraft, invalid: &mut Invalid) -> Option<Selector> {
    let one = || Rule::new("one-of", "must have exactly one of all, service, tenants and label");
    let SelectorDraft { all, service, tenants, label } = draft;
    match (all, service, tenants, label) {
        (Some(true), None, None, None) => Some(Selector::All),
        (Some(false), None, None, None) => {
            invalid.push("/select/all", "true", "must be true, or be left out");
            None
        }
        (None, Some(name), None, None) => {
            invalid.take("/select/service", name.parse()).map(Selector::Service)
        }
        (None, None, Some(names), None) => named(&names, invalid).map(Selector::Tenants),
        (None, None, None, Some(label)) => invalid.take("/select/label", label.parse()).map(Selector::Label),
        _ => invalid.take("/select", Err(one())),
    }
}

fn named(names: &[String], invalid: &mut Invalid) -> Option<Vec<TenantName>> {
    if !(1..=MAX_TENANTS).contains(&names.len()) {
        invalid.push("/select/tenants", "items", format!("must be 1 to {MAX_TENANTS} tenants"));
        return None;
    }
    let mut seen = std::collections::BTreeSet::new();
    for (i, name) in names.iter().enumerate() {
        if !seen.insert(name) {
            invalid.push(format!("/select/tenants/{i}"), "unique", format!("“{name}” is named twice"));
        }
    }
    let names = names.iter().enumerate();
    names.map(|(i, name)| invalid.take(&format!("/select/tenants/{i}"), name.parse())).collect()
}

fn check_waves(drafts: Vec<ShareDraft>, invalid: &mut Invalid) -> Vec<Share> {
    if !(1..=MAX_WAVES).contains(&drafts.len()) {
        invalid.push("/waves", "items", format!("must be 1 to {MAX_WAVES} waves"));
    }
    let waves = drafts.into_iter().enumerate();
    waves
        .filter_map(|(i, draft)| {
            let share = invalid.take(&format!("/waves/{i}"), draft.try_into())?;
            if matches!(share, Share::Count(0) | Share::Percent(0)) {
                invalid.push(format!("/waves/{i}"), "share", "must be at least 1 or 1%");
            }
            Some(share)
        })
        .collect()
}

fn choice(text: String) -> Result<PlatformChoice, Rule> {
    if text == CURRENT {
        return Ok(PlatformChoice::Current);
    }
    let foreign = FOREIGN.iter().any(|start| text.len() > start.len() && text.starts_with(start));
    let plain = text.len() <= 2048 && !text.contains('#') && !text.contains("..");
    if foreign && plain && !text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Ok(PlatformChoice::Flake(text));
    }
    Err(Rule::new(
        "platform",
        "must be current, or the reference of a flake that others serve, such as github:example/berth",
    ))
}

impl From<RolloutSpec> for RolloutDraft {
    fn from(spec: RolloutSpec) -> Self {
        let mut select = SelectorDraft::default();
        match spec.select {
            Selector::All => select.all = Some(true),
            Selector::Service(name) => select.service = Some(name.into()),
            Selector::Tenants(names) => select.tenants = Some(names.into_iter().map(Into::into).collect()),
            Selector::Label(label) => select.label = Some(label.into()),
        }
        Self {
            select,
            waves: Some(spec.waves.into_iter().map(Into::into).collect()),
            max_failures: Some(spec.max_failures.into()),
            parallel: spec.parallel,
            platform: spec.platform.map(|platform| match platform {
                PlatformChoice::Current => CURRENT.to_owned(),
                PlatformChoice::Flake(reference) => reference,
            }),
        }
    }
}

impl Serialize for RolloutSpec {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RolloutDraft::from(self.clone()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RolloutSpec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RolloutDraft::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> Result<RolloutSpec, Invalid> {
        serde_json::from_value::<RolloutDraft>(value).unwrap().try_into()
    }

    fn broken(value: Value) -> Vec<String> {
        let invalid = read(value).unwrap_err();
        invalid.errors().iter().map(|error| format!("{} {}", error.field, error.rule)).collect()
    }

    #[test]
    fn waves_cover_every_tenant_whatever_was_asked_for() {
        let sizes = |waves: Value, total| {
            read(json!({"select": {"all": true}, "waves": waves})).unwrap().wave_sizes(total)
        };
        assert_eq!(sizes(json!([1, "10%"]), 100), [1, 10, 89]);
        assert_eq!(sizes(json!([1, "10%"]), 2), [1, 1]);
        assert_eq!(sizes(json!([1, "10%"]), 1), [1]);
        assert_eq!(sizes(json!(["100%"]), 7), [7]);
        assert_eq!(sizes(json!([50]), 7), [7]);
        assert_eq!(sizes(json!(["1%", "1%"]), 3), [1, 1, 1]);
    }

    #[test]
    fn every_broken_rule_is_named_at_once() {
        assert_eq!(broken(json!({"select": {}})), ["/select one-of"]);
        assert_eq!(broken(json!({"select": {"all": true, "label": "beta"}})), ["/select one-of"]);
        assert_eq!(broken(json!({"select": {"all": false}})), ["/select/all true"]);
        assert_eq!(
            broken(json!({
                "select": {"tenants": ["a", "A", "a"]}, "waves": [0, "101%"], "max_failures": "x", "parallel": 0,
                "platform": "/etc"
            })),
            [
                "/select/tenants/2 unique",
                "/select/tenants/1 dns-label",
                "/waves/0 share",
                "/waves/1 share",
                "/max_failures share",
                "/parallel range",
                "/platform platform"
            ]
        );
    }

    #[test]
    fn a_platform_is_never_a_folder_of_the_daemons_host() {
        for good in [
            "current",
            "github:example/berth",
            "git+ssh://git@example.org/berth?ref=main",
            "path:/nix/store/x",
        ] {
            assert!(choice(good.into()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/etc",
            ".",
            "path:/etc",
            "git+file:///x",
            "file:///x",
            "nixpkgs",
            "github:a/b#c",
            "path:/nix/store/../../etc",
        ] {
            assert!(choice(bad.into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rollout_is_stored_as_it_was_checked() {
        let spec =
            read(json!({"select": {"service": "mastodon"}, "platform": "current", "max_failures": "5%"}))
                .unwrap();
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<RolloutSpec>(&text).unwrap(), spec);
    }
}
