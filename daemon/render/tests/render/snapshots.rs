//! The files as they are printed.

use berth_domain::{Address, MachineName, MachineSpec, TenantSpec};
use berth_render::{LiteralError, RenderError, RenderInput, RenderMachine, RenderSsh, Rendered, Tls, render};
use serde_json::json;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj ann@acme";

fn spec(change: serde_json::Value) -> TenantSpec {
    let mut value = json!({
        "name": "acme", "domain": "acme.example", "contact_email": "ann@acme.example", "machine": "vm1",
    });
    for (key, new) in change.as_object().unwrap() {
        value[key] = new.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn rendered(tenant: Option<&TenantSpec>, tls: Tls, pin: &str) -> Result<Rendered, RenderError> {
    let (name, address): (MachineName, Address) = ("vm1".parse().unwrap(), "2001:db8::1".parse().unwrap());
    let machine = RenderMachine { name: &name, address: &address, system: "x86_64-linux", tls, ssh: None };
    render(&RenderInput { tenant, machine: &machine, platform: &pin.parse().unwrap() })
}

fn tenant_nix(change: serde_json::Value) -> String {
    rendered(Some(&spec(change)), Tls::None, "path:/berth").unwrap().files["tenant.nix"].clone()
}

#[test]
fn a_vacant_machine_has_a_flake_and_no_tenant() {
    let rendered = rendered(None, Tls::Acme, "git+https://example.org/berth?rev=0123&dir=\"${x}\"").unwrap();
    let all: Vec<String> = rendered.files.iter().map(|(path, text)| format!("== {path}\n{text}")).collect();
    insta::assert_snapshot!("vacant_machine", all.concat());
}

#[test]
fn a_machine_that_is_known_says_how_ssh_reaches_it_and_which_host_key_it_shows() {
    let spec: MachineSpec = serde_json::from_value(json!({
        "name": "vm1", "address": "192.0.2.10", "port": 2222, "user": "ops", "host_key": KEY,
    }))
    .unwrap();
    let machine = RenderMachine {
        name: &spec.name,
        address: &spec.address,
        system: "x86_64-linux",
        tls: Tls::SelfSigned,
        ssh: Some(RenderSsh { user: &spec.user, port: spec.port, host_key: &spec.host_key }),
    };
    let input = RenderInput { tenant: None, machine: &machine, platform: &"path:/berth".parse().unwrap() };
    insta::assert_snapshot!("known_machine", render(&input).unwrap().files["machine.nix"]);
}

#[test]
fn a_tenant_is_plain_data() {
    let printed = tenant_nix(json!({
        "plan": "small", "ssh_keys": [KEY],
        "services": {
            "gitea": {"app_name": "Acme \"${Git}\" $${HOME} $5\n\tC:\\", "two words": 1, "if": null, "": "''"},
            "mastodon": {"enable": false},
            "9p": {"numbers": [0, -1, i64::MAX, i64::MIN, 0.1, -0.0, 1e308, -5e-324], "one": [{"a": []}], "none": {}},
        }
    }));
    insta::assert_snapshot!("tenant", printed);
}

#[test]
fn a_suspended_tenant_has_its_notice_and_a_moved_one_its_new_address() {
    let suspended = tenant_nix(json!({"mode": "suspended", "notice": "Please pay.\r\n"}));
    insta::assert_snapshot!("suspended_tenant", suspended);
    let moved = tenant_nix(json!({"mode": "moved", "moved_to": "192.0.2.1"}));
    assert!(moved.contains("    mode = \"moved\";\n    moved_to = \"192.0.2.1\";\n"), "{moved}");
    let silent = tenant_nix(json!({"mode": "suspended"}));
    assert!(!silent.contains("notice"), "{silent}");
}

#[test]
fn the_same_input_gives_the_same_bytes_and_any_change_another_id() {
    let of = |change| rendered(Some(&spec(change)), Tls::None, "path:/berth").unwrap();
    // The order of keys in the request does not matter.
    let one = of(json!({"services": {"gitea": {"a": 1, "b": {"c": 2, "d": 3}}, "mastodon": {}}}));
    let same = of(json!({"services": {"mastodon": {}, "gitea": {"b": {"d": 3, "c": 2}, "a": 1}}}));
    assert_eq!(one, same);
    assert_ne!(one.id, of(json!({"services": {"gitea": {"a": 1}}})).id);
    let spec = spec(json!({}));
    let base = rendered(Some(&spec), Tls::None, "path:/berth").unwrap().id;
    assert_ne!(base, rendered(Some(&spec), Tls::Acme, "path:/berth").unwrap().id);
    assert_ne!(base, rendered(Some(&spec), Tls::None, "path:/other").unwrap().id);
}

#[test]
fn a_value_that_nix_cannot_hold_is_refused_with_its_field_even_if_it_slipped_past_the_request() {
    let mut spec = spec(json!({"services": {"gitea": {}}}));
    let gitea = spec.services.get_mut("gitea").unwrap();
    gitea.settings.insert("app_name".into(), berth_domain::Setting::Text("a\0b".into()));
    let error = rendered(Some(&spec), Tls::None, "path:/berth").unwrap_err();
    assert_eq!(error, RenderError { field: "/services/gitea/app_name".into(), error: LiteralError::Nul });
    assert_eq!(error.to_string(), "/services/gitea/app_name: must not contain a NUL character");
}
