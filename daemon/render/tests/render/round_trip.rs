//! Whether the real `nix` reads back what was printed.
//!
//! Every case is a setting, or a whole tenant, printed into a file. One `nix` process evaluates a batch of them twice over:
//! as JSON, which is compared here with the value that was printed, and against `builtins.fromJSON` of that value, which
//! compares floats to the last bit (Nix 2.8 writes only six of their digits into JSON).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use berth_domain::{Address, MachineName, Setting, TenantSpec};
use berth_render::print::file;
use berth_render::setting::setting;
use berth_render::{PlatformPin, RenderInput, RenderMachine, Tls, render};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

/// How many random cases of each kind a run tries, at least 500 in all; one `nix` process each kind.
const SETTINGS: usize = 500;
const TENANTS: usize = 150;

/// Whether there is a `nix` to ask; a missing one is a failure unless the environment says that it is meant.
fn nix_is_here() -> bool {
    let present = Command::new("nix").arg("--version").output().is_ok();
    let left_out = std::env::var_os("BERTH_TEST_WITHOUT_NIX").is_some_and(|value| value == "1");
    assert!(
        present || left_out,
        "these tests need `nix` (Debian: nix-bin); BERTH_TEST_WITHOUT_NIX=1 leaves them out"
    );
    present
}

/// Evaluates an expression strictly, as JSON. `DIR` in it stands for `folder`.
fn eval(folder: &Path, expression: &str) -> Value {
    let file = folder.join("expression.nix");
    std::fs::write(&file, expression).unwrap();
    let output = Command::new("nix")
        .args(["--extra-experimental-features", "nix-command", "eval", "--json", "-f"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A printed file and the value that it should have.
struct Case {
    printed: String,
    value: Value,
}

/// Evaluates all cases in one process and compares each.
fn check(cases: &[Case]) {
    if !nix_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (i, case) in cases.iter().enumerate() {
        std::fs::write(folder.path().join(format!("case-{i}.nix")), &case.printed).unwrap();
        std::fs::write(folder.path().join(format!("case-{i}.json")), case.value.to_string()).unwrap();
    }
    std::fs::write(folder.path().join("same.nix"), include_str!("same.nix")).unwrap();
    let answers = eval(
        folder.path(),
        &format!(
            "let same = import ./same.nix; in builtins.genList (i: rec {{
               value = import (./. + \"/case-${{toString i}}.nix\");
               exact = same value (builtins.fromJSON (builtins.readFile (./. + \"/case-${{toString i}}.json\")));
             }}) {}",
            cases.len()
        ),
    );
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), cases.len());
    for (case, answer) in cases.iter().zip(answers) {
        assert!(alike(&case.value, &answer["value"]), "{}\nwas read as {}", case.printed, answer["value"]);
        assert_eq!(answer["exact"], true, "{}\nis not exactly {}", case.printed, case.value);
    }
}

/// Equal but for the digits that Nix 2.8 leaves out when it writes floats as JSON.
fn alike(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            // Six digits of a subnormal number are more than it has.
            a == b || (a - b).abs() <= a.abs() * 1e-5 || a.is_subnormal()
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b)))
        }
        _ => wanted == found,
    }
}

fn case(value: &Setting) -> Case {
    let printed = file(&["A case."], &setting(value, "").unwrap());
    Case { printed, value: serde_json::to_value(value).unwrap() }
}

/// Text made of what Nix's lexer treats specially, and of any other characters.
fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "\"", "\\", "$", "${", "$$", "}", "''", "''${", "\n", "\r", "\r\n", "\t", "\\n", "\\${", "#", "/*",
        "*/", "{", ";", "'", "é", "🦀", "\u{feff}", "\u{2028}", "\u{1b}", "\u{7f}", "\u{1}", "a", " ",
    ]);
    let any = any::<char>().prop_filter("NUL", |&c| c != '\0').prop_map(String::from);
    let part = prop_oneof![3 => special.prop_map(str::to_owned), 1 => any];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

/// Keys: keywords, identifiers, almost-identifiers, any text. Not the two at which `nix eval --json` prints something
/// else than the set; a case of its own covers them.
fn key() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "if",
        "then",
        "else",
        "assert",
        "with",
        "let",
        "in",
        "rec",
        "inherit",
        "or",
        "true",
        "false",
        "null",
        "",
        "a",
        "a-b",
        "a'",
        "_",
        "-a",
        "9",
        "9a",
        "a.b",
        "a b",
        "__functor",
        "__curPos",
        "type",
        "import",
        "é",
        "$",
    ]);
    prop_oneof![special.prop_map(str::to_owned), "[a-zA-Z_'0-9-]{1,8}", text()]
        .prop_filter("changes nix eval --json", |key| key != "outPath" && key != "__toString")
}

fn number() -> impl Strategy<Value = Setting> {
    let ints = prop_oneof![
        any::<i64>(),
        prop::sample::select(vec![0, 1, -1, i64::MAX, i64::MIN, i64::MIN + 1, 1 << 53])
    ];
    let extremes = vec![
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        1e15,
        1e16,
        1e17,
        1e-5,
        1e308,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        -f64::MIN_POSITIVE,
        5e-324,
        -5e-324,
        2.225_073_858_507_201e-308,
    ];
    let floats = prop_oneof![
        any::<f64>().prop_filter("finite", |f| f.is_finite()),
        prop::sample::select(extremes),
        (-1e6..1e6_f64),
    ];
    prop_oneof![ints.prop_map(Setting::Int), floats.prop_map(Setting::Float)]
}

fn leaf() -> impl Strategy<Value = Setting> {
    prop_oneof![
        1 => Just(Setting::Null),
        1 => any::<bool>().prop_map(Setting::Bool),
        3 => number(),
        4 => text().prop_map(Setting::Text),
    ]
}

fn any_setting() -> impl Strategy<Value = Setting> {
    leaf().prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Setting::List),
            prop::collection::btree_map(key(), inner, 0..5).prop_map(Setting::Attrs),
        ]
    })
}

/// So many random values. A run prints its seed when a case fails, since cases of one batch fail together.
fn samples<T>(count: usize, strategy: impl Strategy<Value = T>) -> Vec<T> {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn nix_reads_every_setting_back_as_it_was() {
    let cases: Vec<Case> = samples(SETTINGS, any_setting()).iter().map(case).collect();
    check(&cases);
}

#[test]
fn nix_reads_every_tenant_back_as_it_was() {
    let settings =
        prop::collection::btree_map(key().prop_filter("enable", |k| k != "enable"), any_setting(), 0..4);
    let selection = (any::<bool>(), settings);
    let services = prop::collection::btree_map("[a-z0-9]{1,9}", selection, 0..3);
    let mode = prop_oneof![
        Just(json!({})),
        Just(json!({"mode": "standby"})),
        text().prop_map(|notice| json!({"mode": "suspended", "notice": notice})),
        Just(json!({"mode": "suspended"})),
        Just(json!({"mode": "moved", "moved_to": "2001:db8::1"})),
    ];
    let tenants = (services, mode, prop::option::of("[a-z0-9]{1,9}"));
    let cases: Vec<Case> = samples(TENANTS, tenants)
        .into_iter()
        .map(|(services, mode, plan)| tenant_case(&tenant(services, &mode, plan)))
        .collect();
    check(&cases);
}

fn tenant(
    services: BTreeMap<String, (bool, BTreeMap<String, Setting>)>,
    mode: &Value,
    plan: Option<String>,
) -> TenantSpec {
    let services: serde_json::Map<String, Value> = services
        .into_iter()
        .map(|(name, (enable, settings))| {
            let mut values = serde_json::to_value(Setting::Attrs(settings)).unwrap();
            values["enable"] = enable.into();
            (name, values)
        })
        .collect();
    let mut draft = json!({
        "name": "acme", "domain": "bücher.example", "contact_email": "o'neil@acme.example", "machine": "vm1",
        "services": services, "plan": plan,
    });
    draft.as_object_mut().unwrap().extend(mode.as_object().unwrap().clone());
    serde_json::from_value(draft).unwrap()
}

/// What `tenant.nix` holds is the tenant as the API writes it, but for the machine, which has a file of its own.
fn tenant_case(spec: &TenantSpec) -> Case {
    let (name, address): (MachineName, Address) = ("vm1".parse().unwrap(), "192.0.2.1".parse().unwrap());
    let machine =
        RenderMachine { name: &name, address: &address, system: "x86_64-linux", tls: Tls::None, ssh: None };
    let platform: PlatformPin = "path:/berth".parse().unwrap();
    let rendered =
        render(&RenderInput { tenant: Some(spec), machine: &machine, platform: &platform }).unwrap();
    let mut value = serde_json::to_value(spec).unwrap();
    value.as_object_mut().unwrap().remove("machine");
    Case { printed: rendered.files["tenant.nix"].clone(), value: json!({"berth": {"tenant": value}}) }
}

#[test]
fn nix_reads_the_deepest_setting_that_a_request_may_hold() {
    let mut deep = Setting::Text("bottom".into());
    for level in 0..berth_domain::setting::MAX_DEPTH {
        deep = if level % 2 == 0 {
            Setting::List(vec![deep])
        } else {
            Setting::Attrs([("let".to_owned(), deep)].into())
        };
    }
    check(&[case(&deep)]);
}

#[test]
fn keys_that_mean_something_to_nix_elsewhere_are_only_keys() {
    if !nix_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let keys = ["outPath", "__toString", "__functor", "recurseForDerivations"];
    let mut settings: BTreeMap<String, Setting> =
        keys.iter().map(|&key| (key.to_owned(), Setting::Text("x".into()))).collect();
    settings.insert("type".into(), Setting::Text("derivation".into()));
    let value = Setting::Attrs(settings);
    let case = case(&value);
    std::fs::write(folder.path().join("value.nix"), &case.printed).unwrap();
    std::fs::write(folder.path().join("value.json"), case.value.to_string()).unwrap();
    std::fs::write(folder.path().join("same.nix"), include_str!("same.nix")).unwrap();
    let same = "import ./same.nix (import ./value.nix) (builtins.fromJSON (builtins.readFile ./value.json))";
    assert_eq!(eval(folder.path(), same), true);
}

#[test]
fn the_comparison_itself_tells_values_apart() {
    if !nix_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("same.nix"), include_str!("same.nix")).unwrap();
    let pairs = "1 1.0  0.1 0.10000000000000002  0.0 (0.0 * -1.0)  [ 1 ] [ 1 2 ]  { a = 1; } { b = 1; }  null false  \"\" \"a\"";
    let list = format!(
        "let same = import ./same.nix; all = [ {pairs} ]; at = builtins.elemAt all; in
         builtins.genList (i: same (at (2 * i)) (at (2 * i + 1))) (builtins.length all / 2)"
    );
    assert_eq!(eval(folder.path(), &list), json!([false, false, false, false, false, false, false]));
    assert!(!alike(&json!({"a": 1}), &json!({"a": 2})) && !alike(&json!(1.5), &json!(1.6)));
}

#[test]
fn nix_reads_the_flake_and_hands_both_files_to_the_platform() {
    if !nix_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (name, address): (MachineName, Address) = ("vm1".parse().unwrap(), "2001:db8::1".parse().unwrap());
    let machine =
        RenderMachine { name: &name, address: &address, system: "x86_64-linux", tls: Tls::Acme, ssh: None };
    let platform: PlatformPin = "git+https://example.org/berth?rev=1&x=\"${y}\"".parse().unwrap();
    let rendered = render(&RenderInput { tenant: None, machine: &machine, platform: &platform }).unwrap();
    for (path, text) in &rendered.files {
        std::fs::write(folder.path().join(path), text).unwrap();
    }
    let found = eval(
        folder.path(),
        "let
           flake = import ./flake.nix;
           lib.tenantFlake = { tenant, machine }: { tenant = import tenant; machine = import machine; };
         in { inherit (flake) inputs; outputs = flake.outputs { self = flake; berth = { inherit lib; }; }; }",
    );
    let wanted = json!({
        "inputs": {"berth": {"url": platform.as_str()}},
        "outputs": {
            "tenant": {"berth": {"tenant": null}},
            "machine": {"berth": {"machine": {
                "name": "vm1", "address": "2001:db8::1", "system": "x86_64-linux", "tls": "acme"
            }}}
        }
    });
    assert_eq!(found, wanted);
}
