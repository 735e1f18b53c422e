//! A tenant: one customer's unit, from the request's draft to the checked specification.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::contact::Email;
use crate::hostname::{Address, DomainName};
use crate::invalid::{Invalid, Rule, pointer_segment};
use crate::name::{Label, MachineName, PlanName, ServiceName, TenantName};
use crate::network::Network;
use crate::setting::Setting;
use crate::ssh::SshPublicKey;
use crate::window::MaintenanceWindow;

/// The longest notice that a suspended tenant's visitors may be shown, in characters.
pub const MAX_NOTICE: usize = 500;

/// How many networks administrators may come from.
pub const MAX_ADMIN_ADDRESSES: usize = 20;

/// How many labels a tenant may have.
pub const MAX_LABELS: usize = 20;

/// A tenant as a client writes it: unchecked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "acme", "domain": "acme.example", "contact_email": "ann@acme.example", "machine": "vm1",
    "services": {"gitea": {"enable": true, "app_name": "Acme Git"}}
}))]
pub struct TenantDraft {
    /// Unique name: a DNS label.
    #[schema(value_type = TenantName)]
    pub name: String,
    /// The customer's domain; each service lives on a sub-domain of it.
    #[schema(value_type = DomainName)]
    pub domain: String,
    /// Where notices about this tenant go.
    #[schema(value_type = Email)]
    pub contact_email: String,
    /// The plan's name in the panel; kept, not interpreted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<PlanName>)]
    pub plan: Option<String>,
    /// Words by which the provider finds it again, such as `beta`, for rollouts; kept, not interpreted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Label>, max_items = 20)]
    pub labels: Vec<String>,
    /// The machine that this tenant is deployed to.
    #[schema(value_type = MachineName)]
    pub machine: String,
    /// The selected services with their settings; the catalogue (`GET /v1/services`) holds each one's schema.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Object>)]
    pub services: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
    /// SSH keys of the tenant's own administrators, in OpenSSH's one-line form.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
    /// Where the tenant's administrators come from: with mode `maintenance`, only these see the services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Network>, max_items = 20)]
    pub admin_addresses: Vec<String>,
    /// When the machine may restart services and itself; any time when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance_window: Option<MaintenanceWindow>,
    /// `active`, `standby`, `maintenance`, `suspended`, `moved` or `fenced`; `active` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "active")]
    pub mode: Option<String>,
    /// With mode `suspended`: what visitors are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// With mode `moved`: the address of the new provider's machine, which requests are forwarded to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<String>,
}

/// What a tenant's machine does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Services run and are reachable.
    Active,
    /// Everything is installed; services are stopped.
    Standby,
    /// Services run, and nobody but the tenant's administrators sees them.
    Maintenance,
    /// Services are stopped; visitors get 503 with Retry-After and this notice.
    Suspended {
        /// What visitors are told, instead of the default words.
        notice: Option<String>,
    },
    /// Requests are forwarded to the new provider.
    Moved {
        /// Where the tenant lives now.
        to: Address,
    },
    /// Services run, and nothing that they send leaves the machine: for copies of what runs elsewhere.
    Fenced,
}

impl Mode {
    /// The mode's word, as it stands in JSON and Nix.
    pub fn word(&self) -> &'static str {
        match self {
            Mode::Active => "active",
            Mode::Standby => "standby",
            Mode::Maintenance => "maintenance",
            Mode::Suspended { .. } => "suspended",
            Mode::Moved { .. } => "moved",
            Mode::Fenced => "fenced",
        }
    }
}

/// A service that a tenant selected.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSelection {
    /// Whether it is part of the configuration; a disabled service keeps its settings.
    pub enable: bool,
    /// Its settings, without `enable`.
    pub settings: BTreeMap<String, Setting>,
}

/// A checked tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantSpec {
    /// Unique name.
    pub name: TenantName,
    /// The customer's domain.
    pub domain: DomainName,
    /// Where notices go.
    pub contact_email: Email,
    /// The panel's plan.
    pub plan: Option<PlanName>,
    /// Words by which it is found again.
    pub labels: BTreeSet<Label>,
    /// Where it is deployed.
    pub machine: MachineName,
    /// The selected services.
    pub services: BTreeMap<ServiceName, ServiceSelection>,
    /// Keys of the tenant's administrators.
    pub ssh_keys: Vec<SshPublicKey>,
    /// Where they come from.
    pub admin_addresses: Vec<Network>,
    /// When the machine may be worked on.
    pub maintenance_window: Option<MaintenanceWindow>,
    /// What the machine does.
    pub mode: Mode,
}

impl TenantSpec {
    /// Does something with each secret among the services' settings, and where it stands: the service, and a JSON pointer within its
    /// settings, such as `/smtp/password`. See [`Setting::try_each_secret`].
    ///
    /// # Errors
    /// The first that `each` gives.
    pub fn try_each_secret<E>(
        &mut self,
        mut each: impl FnMut(&ServiceName, &str, &mut Setting) -> Result<(), E>,
    ) -> Result<(), E> {
        for (service, selection) in &mut self.services {
            for (name, setting) in &mut selection.settings {
                setting.try_each_secret(&format!("/{name}"), &mut |at, setting: &mut Setting| {
                    each(service, at, setting)
                })?;
            }
        }
        Ok(())
    }
}

impl TryFrom<TenantDraft> for TenantSpec {
    type Error = Invalid;

    /// Checks every rule and reports all that are broken. Settings are checked for form only: their schema is
    /// the catalogue's matter.
    fn try_from(draft: TenantDraft) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        let name = invalid.take("/name", draft.name.parse());
        let domain = invalid.take("/domain", draft.domain.parse());
        let contact_email = invalid.take("/contact_email", draft.contact_email.parse());
        let plan = draft.plan.and_then(|plan| invalid.take("/plan", plan.parse()));
        let labels = labels(&draft.labels, &mut invalid);
        let machine = invalid.take("/machine", draft.machine.parse());
        let services = services(draft.services, &mut invalid);
        let ssh_keys = ssh_keys(draft.ssh_keys, &mut invalid);
        let admin_addresses = admin_addresses(draft.admin_addresses, &mut invalid);
        let maintenance_window = draft.maintenance_window;
        if let Some(window) = &maintenance_window {
            window.check("/maintenance_window", &mut invalid);
        }
        let mode = mode(draft.mode.as_deref(), draft.notice, draft.moved_to, &mut invalid);
        match (name, domain, contact_email, machine, mode) {
            (Some(name), Some(domain), Some(contact_email), Some(machine), Some(mode))
                if invalid.is_empty() =>
            {
                Ok(Self {
                    name,
                    domain,
                    contact_email,
                    plan,
                    labels,
                    machine,
                    services,
                    ssh_keys,
                    admin_addresses,
                    maintenance_window,
                    mode,
                })
            }
            _ => Err(invalid),
        }
    }
}

impl From<TenantSpec> for TenantDraft {
    fn from(spec: TenantSpec) -> Self {
        let mode = spec.mode.word().to_owned();
        let (notice, moved_to) = match spec.mode {
            Mode::Suspended { notice } => (notice, None),
            Mode::Moved { to } => (None, Some(to.to_string())),
            Mode::Active | Mode::Standby | Mode::Maintenance | Mode::Fenced => (None, None),
        };
        Self {
            name: spec.name.into(),
            domain: spec.domain.into(),
            contact_email: spec.contact_email.into(),
            plan: spec.plan.map(Into::into),
            labels: spec.labels.into_iter().map(Into::into).collect(),
            machine: spec.machine.into(),
            services: spec
                .services
                .into_iter()
                .map(|(name, service)| (name.into(), service.into()))
                .collect(),
            ssh_keys: spec.ssh_keys.into_iter().map(Into::into).collect(),
            admin_addresses: spec.admin_addresses.into_iter().map(Into::into).collect(),
            maintenance_window: spec.maintenance_window,
            mode: Some(mode),
            notice,
            moved_to,
        }
    }
}

impl From<ServiceSelection> for serde_json::Map<String, serde_json::Value> {
    fn from(service: ServiceSelection) -> Self {
        let mut map = Self::new();
        map.insert("enable".into(), service.enable.into());
        for (key, setting) in service.settings {
            // A `Setting` holds only what JSON can say, so serialising it cannot fail.
            map.insert(key, serde_json::to_value(setting).unwrap_or_default());
        }
        map
    }
}

impl Serialize for TenantSpec {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TenantDraft::from(self.clone()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TenantSpec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        TenantDraft::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

fn services(
    drafts: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
    invalid: &mut Invalid,
) -> BTreeMap<ServiceName, ServiceSelection> {
    let mut services = BTreeMap::new();
    for (name, mut settings) in drafts {
        let at = format!("/services/{}", pointer_segment(&name));
        let enable = match settings.remove("enable") {
            Some(serde_json::Value::Bool(enable)) => enable,
            None => true,
            Some(_) => {
                invalid.push(format!("{at}/enable"), "type", "must be true or false");
                continue;
            }
        };
        let name = invalid.take(&at, name.parse());
        let settings = Setting::from_json(&serde_json::Value::Object(settings), &at);
        match (name, settings) {
            (Some(name), Ok(Setting::Attrs(settings))) => {
                services.insert(name, ServiceSelection { enable, settings });
            }
            (_, Err(errors)) => invalid.extend(errors),
            _ => {}
        }
    }
    services
}

fn labels(drafts: &[String], invalid: &mut Invalid) -> BTreeSet<Label> {
    if drafts.len() > MAX_LABELS {
        invalid.push("/labels", "max-items", format!("must be at most {MAX_LABELS}"));
    }
    let labels = drafts.iter().enumerate();
    labels.filter_map(|(i, label)| invalid.take(&format!("/labels/{i}"), label.parse())).collect()
}

fn ssh_keys(drafts: Vec<String>, invalid: &mut Invalid) -> Vec<SshPublicKey> {
    drafts
        .iter()
        .enumerate()
        .filter_map(|(i, key)| invalid.take(&format!("/ssh_keys/{i}"), key.parse()))
        .collect()
}

fn admin_addresses(drafts: Vec<String>, invalid: &mut Invalid) -> Vec<Network> {
    if drafts.len() > MAX_ADMIN_ADDRESSES {
        invalid.push("/admin_addresses", "max-items", format!("must be at most {MAX_ADMIN_ADDRESSES}"));
    }
    drafts
        .iter()
        .enumerate()
        .filter_map(|(i, network)| invalid.take(&format!("/admin_addresses/{i}"), network.parse()))
        .collect()
}

fn mode(
    word: Option<&str>,
    notice: Option<String>,
    moved_to: Option<String>,
    invalid: &mut Invalid,
) -> Option<Mode> {
    let word = word.unwrap_or("active");
    if notice.is_some() && word != "suspended" {
        invalid.push("/notice", "mode", "is only for the mode “suspended”");
    }
    if moved_to.is_some() && word != "moved" {
        invalid.push("/moved_to", "mode", "is only for the mode “moved”");
    }
    match word {
        "active" => Some(Mode::Active),
        "standby" => Some(Mode::Standby),
        "maintenance" => Some(Mode::Maintenance),
        "fenced" => Some(Mode::Fenced),
        "suspended" => {
            let notice = notice.map(|text| invalid.take("/notice", check_notice(text)));
            (notice != Some(None)).then(|| Mode::Suspended { notice: notice.flatten() })
        }
        "moved" => match moved_to {
            Some(to) => invalid.take("/moved_to", to.parse()).map(|to| Mode::Moved { to }),
            None => {
                invalid.push(
                    "/moved_to",
                    "required",
                    "is required with the mode “moved”: the new machine's address",
                );
                None
            }
        },
        _ => {
            let rule = "must be active, standby, maintenance, suspended, moved or fenced";
            invalid.push("/mode", "one-of", rule);
            None
        }
    }
}

fn check_notice(text: String) -> Result<String, Rule> {
    if text.chars().count() > MAX_NOTICE || text.contains('\0') {
        return Err(Rule::new("notice", format!("must be at most {MAX_NOTICE} characters, without NUL")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn draft(change: serde_json::Value) -> TenantDraft {
        let mut value = json!({
            "name": "acme", "domain": "acme.example", "contact_email": "ann@acme.example", "machine": "vm1",
            "services": {"gitea": {"app_name": "Acme"}}
        });
        for (key, new) in change.as_object().unwrap() {
            value[key] = new.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    fn broken(change: serde_json::Value) -> Vec<(String, String)> {
        let invalid = TenantSpec::try_from(draft(change)).unwrap_err();
        invalid.errors().iter().map(|e| (e.field.clone(), e.rule.clone())).collect()
    }

    fn pair(field: &str, rule: &str) -> (String, String) {
        (field.into(), rule.into())
    }

    #[test]
    fn a_good_draft_becomes_a_spec_and_comes_back_the_same() {
        let spec = TenantSpec::try_from(draft(json!({}))).unwrap();
        assert_eq!(spec.mode, Mode::Active);
        assert!(spec.services["gitea"].enable);
        let again: TenantSpec = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
        assert_eq!(again, spec);
    }

    #[test]
    fn every_broken_rule_is_reported_at_once() {
        let found = broken(json!({
            "name": "-", "domain": "x", "contact_email": "x", "machine": "M", "plan": "", "mode": "gone",
            "ssh_keys": ["nonsense"], "admin_addresses": ["::1", "home"],
            "maintenance_window": {"from": "3", "to": "05:00"}, "services": {"Gitea": {}, "gitea": {"enable": 1}, "mastodon": {"a": "\0"}}
        }));
        let expected = [
            pair("/name", "dns-label"),
            pair("/domain", "domain"),
            pair("/contact_email", "email"),
            pair("/plan", "dns-label"),
            pair("/machine", "dns-label"),
            pair("/services/Gitea", "dns-label"),
            pair("/services/gitea/enable", "type"),
            pair("/services/mastodon/a", "no-nul"),
            pair("/ssh_keys/0", "ssh-public-key"),
            pair("/admin_addresses/1", "network"),
            pair("/maintenance_window/from", "time"),
            pair("/mode", "one-of"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn moved_needs_an_address_and_only_moved_has_one() {
        assert_eq!(broken(json!({"mode": "moved"})), [pair("/moved_to", "required")]);
        assert_eq!(broken(json!({"moved_to": "192.0.2.1"})), [pair("/moved_to", "mode")]);
        assert_eq!(broken(json!({"notice": "x"})), [pair("/notice", "mode")]);
        assert_eq!(
            broken(json!({"mode": "suspended", "notice": "x".repeat(501)})),
            [pair("/notice", "notice")]
        );
        let moved = TenantSpec::try_from(draft(json!({"mode": "moved", "moved_to": "192.0.2.1"}))).unwrap();
        assert_eq!(moved.mode, Mode::Moved { to: "192.0.2.1".parse().unwrap() });
    }

    #[test]
    fn unknown_fields_are_refused() {
        let error = serde_json::from_value::<TenantDraft>(json!({"nmae": "acme"})).unwrap_err().to_string();
        assert!(error.contains("unknown field `nmae`"), "{error}");
    }
}
