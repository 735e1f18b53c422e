//! From the command line to a tenant's specification.

use std::path::Path;

use berth_domain::TenantDraft;
use serde_json::{Map, Value};

use crate::args::setting::Assignment;
use crate::args::tenant::Create;
use crate::commands::input;
use crate::failure::{Failure, Result};

/// The tenant that the options describe.
pub(super) fn create(options: Create) -> Result<TenantDraft> {
    if let Some(file) = &options.file {
        return read(file);
    }
    let mut draft = TenantDraft {
        name: options.name.map(String::from).unwrap_or_default(),
        domain: options.domain.unwrap_or_default(),
        contact_email: options.contact_email.unwrap_or_default(),
        plan: options.plan,
        machine: options.machine.unwrap_or_default(),
        ssh_keys: options.ssh_keys,
        ..TenantDraft::default()
    };
    for selection in options.services {
        draft.services.entry(selection.service).or_default().extend(selection.settings);
    }
    change(&draft, &options.settings)
}

/// A tenant as JSON, from a file or, for `-`, from standard input.
pub(in crate::commands) fn read(file: &Path) -> Result<TenantDraft> {
    let text = input::text(file)?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::Usage(format!("{} is not a tenant: {error}", file.display())))
}

/// The tenant with these changes. What does not belong to a new mode goes.
pub(super) fn change(draft: &TenantDraft, assignments: &[Assignment]) -> Result<TenantDraft> {
    let mut draft = draft.clone();
    let mut own = Map::new();
    for Assignment { service, key, value } in assignments {
        match service {
            Some(service) => assign(draft.services.entry(service.clone()).or_default(), key, value),
            None if key == "name" || key == "services" => {
                return Err(Failure::Usage(format!("“{key}” cannot be set")));
            }
            None => {
                own.insert(key.clone(), value.clone());
            }
        }
    }
    if let Some(mode) = own.get("mode").and_then(Value::as_str) {
        draft.notice = draft.notice.filter(|_| mode == "suspended");
        draft.moved_to = draft.moved_to.filter(|_| mode == "moved");
    }
    let refused = |error: serde_json::Error| Failure::Usage(format!("that is not a tenant: {error}"));
    let mut whole = serde_json::to_value(&draft).map_err(refused)?;
    if let Some(whole) = whole.as_object_mut() {
        own.iter().for_each(|(key, value)| assign(whole, key, value));
    }
    serde_json::from_value(whole).map_err(refused)
}

fn assign(map: &mut Map<String, Value>, key: &str, value: &Value) {
    if value.is_null() {
        map.remove(key);
    } else {
        map.insert(key.to_owned(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::tenant::Tenant;
    use crate::args::{Cli, Command};
    use clap::Parser;
    use serde_json::json;

    fn created(line: &[&str]) -> TenantDraft {
        let words = ["berth", "tenant", "create", "acme", "--domain", "acme.example", "--contact-email"];
        let words = words.iter().chain(&["ann@acme.example", "--machine", "vm1"]).chain(line);
        let Command::Tenant(Tenant::Create(options)) = Cli::try_parse_from(words).unwrap().command else {
            panic!("not a creation");
        };
        create(*options).unwrap()
    }

    fn changed(draft: &TenantDraft, assignments: &[&str]) -> Result<TenantDraft> {
        change(draft, &assignments.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn options_become_the_tenant_that_the_api_takes() {
        let draft = created(&[
            "--service",
            "gitea:landing_page=explore",
            "--set",
            "gitea.app_name=A, B",
            "--service",
            "peertube",
        ]);
        assert_eq!(
            serde_json::to_value(draft).unwrap(),
            json!({
                "name": "acme", "domain": "acme.example", "contact_email": "ann@acme.example", "machine": "vm1",
                "services": {"gitea": {"landing_page": "explore", "app_name": "A, B"}, "peertube": {}},
                "ssh_keys": []
            })
        );
    }

    #[test]
    fn settings_are_changed_added_and_taken_away() {
        let draft = created(&["--service", "gitea:app_name=A,registration=open", "--plan", "small"]);
        let changed = changed(
            &draft,
            &["gitea.app_name=B", "gitea.registration=null", "peertube.enable=true", "plan=null"],
        );
        let changed = changed.unwrap();
        assert_eq!(
            json!(changed.services),
            json!({"gitea": {"app_name": "B"}, "peertube": {"enable": true}})
        );
        assert_eq!(changed.plan, None);
    }

    #[test]
    fn a_new_mode_takes_along_what_belonged_to_the_old_one() {
        let draft = created(&[]);
        let suspended = changed(&draft, &["mode=suspended", "notice=unpaid"]).unwrap();
        assert_eq!(suspended.notice.as_deref(), Some("unpaid"));
        let active = changed(&suspended, &["mode=active"]).unwrap();
        assert_eq!((active.mode.as_deref(), active.notice), (Some("active"), None));
    }

    #[test]
    fn what_no_tenant_has_is_refused() {
        for bad in ["nmae=x", "name=other", "services=1", "domain=1"] {
            let error = changed(&created(&[]), &[bad]).unwrap_err();
            assert_eq!(error.code(), 2, "{bad}: {error}");
        }
    }
}
