//! Closures compared, and data read out of files that anybody may have written.

use std::time::{Duration, Instant};

use berth_nix::data::{MAX_TEXT, Step};
use berth_nix::{NixError, Run};
use serde_json::{Value, json};

use crate::support::{ample, derivation, instantiate, nix};

#[tokio::test]
async fn two_systems_differ_by_what_they_refer_to() {
    let Some(nix) = nix() else { return };
    let built = async |name: &str, script: &str, input: &str| {
        let drv = instantiate(&derivation(name, script, input));
        nix.build(&drv, None, &ample(), |_| {}).await.unwrap().pop().unwrap()
    };
    let nested = |version: &str, text: &str| {
        derivation(&format!("inner-{version}"), &format!("echo {text} > $out; exit 0"), "null")
    };
    let refer = "echo $input > $out; exit 0";
    let old = built("outer", refer, &nested("1.0", "a")).await;
    let new = built("outer", refer, &nested("1.1", "much-longer-than-that")).await;
    let change = nix.compare_closures(Some(&old), &new, &ample()).await.unwrap();
    assert_eq!(change.packages.len(), 1, "{change:?}");
    let inner = &change.packages[0];
    assert_eq!(
        (inner.name.as_str(), &inner.before[..], &inner.after[..]),
        ("inner", &["1.0".to_owned()][..], &["1.1".to_owned()][..])
    );
    assert_eq!(
        inner.bytes,
        i64::try_from(change.bytes_after).unwrap() - i64::try_from(change.bytes_before).unwrap()
    );
    assert!(inner.bytes > 0);
    assert!(nix.compare_closures(Some(&new), &new, &ample()).await.unwrap().packages.is_empty());
    let first = nix.compare_closures(None, &new, &ample()).await.unwrap();
    let names: Vec<_> = first.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!((names, first.bytes_before), (vec!["inner", "outer"], 0));
    let gone = "/nix/store/00000000000000000000000000000000-gone".parse().unwrap();
    assert!(matches!(
        nix.compare_closures(Some(&gone), &new, &ample()).await,
        Err(NixError::CommandFailed { .. })
    ));
}

fn dotted(place: &[Step]) -> String {
    let step = |step: &Step| match step {
        Step::Name(name) => name.clone(),
        Step::Item(number) => number.to_string(),
    };
    place.iter().map(step).collect::<Vec<_>>().join(".")
}

/// What is data in a text, and what is not with why.
async fn read(text: &str) -> (Vec<(String, Value)>, Vec<(String, String)>) {
    let data = nix().unwrap().read_data(text, &ample()).await.unwrap();
    let leaves = data.leaves.into_iter().map(|(place, value)| (dotted(&place), value)).collect();
    (leaves, data.rest.into_iter().map(|(place, why)| (dotted(&place), why)).collect())
}

#[tokio::test]
async fn data_is_read_as_it_is() {
    if nix().is_none() {
        return;
    }
    let text = r#"
        # a comment at the end, without a line's end
        let name = "é${"x"}"; in { a.b = [ 1 2.5 true null { c = name; } ]; none = { }; empty = [ ]; } # }"#;
    let (leaves, rest) = read(text).await;
    assert_eq!(rest, []);
    let expected = [
        ("a.b.0", json!(1)),
        ("a.b.1", json!(2.5)),
        ("a.b.2", json!(true)),
        ("a.b.3", json!(null)),
        ("a.b.4.c", json!("éx")),
        ("empty", json!([])),
        ("none", json!({})),
    ];
    assert_eq!(leaves, expected.map(|(place, value)| (place.to_owned(), value)));
}

#[tokio::test]
async fn a_modules_parts_are_told_apart_one_by_one() {
    if nix().is_none() {
        return;
    }
    let text = r#"{ lib, pkgs ? null, ... }: {
        berth.tenant = { name = "acme"; domain = lib.mkForce "x"; plan = throw "no plan"; again = let x = x; in x;
            keys = builtins.readFile /etc/passwd; env = builtins.getEnv "HOME"; other = import ./other.nix;
            now = builtins.currentTime; f = x: x; path = /etc; deep.list = [ "a" (x: x) ];
            ifd = builtins.readFile (derivation { name = "n"; system = "x86_64-linux"; builder = "/bin/sh"; });
            drv = derivation { name = "n"; system = "x86_64-linux"; builder = "/bin/sh"; };
            fetched = builtins.fetchurl "http://127.0.0.1:1/x"; store = "${builtins.toFile "n" "x"}"; };
        services.nginx.enable = true;
    }"#;
    let (leaves, rest) = read(text).await;
    let leaves: Vec<_> = leaves.iter().map(|(place, value)| (place.as_str(), value.clone())).collect();
    assert_eq!(
        leaves,
        [
            ("berth.tenant.deep.list.0", json!("a")),
            ("berth.tenant.env", json!("")),
            ("berth.tenant.name", json!("acme")),
            ("services.nginx.enable", json!(true)),
        ]
    );
    let why = |place: &str| {
        let place = format!("berth.tenant.{place}");
        rest.iter()
            .find(|(at, _)| *at == place)
            .map(|(_, why)| why.as_str())
            .unwrap_or_else(|| panic!("{place}: {rest:?}"))
    };
    assert!(why("domain").contains("it uses the argument “lib”"), "{}", why("domain"));
    assert!(why("plan").contains("no plan"), "{}", why("plan"));
    assert!(why("again").contains("infinite recursion"), "{}", why("again"));
    assert!(why("keys").contains("forbidden"), "{}", why("keys"));
    assert!(why("other").contains("forbidden"), "{}", why("other"));
    assert!(why("now").contains("currentTime"), "{}", why("now"));
    assert_eq!(why("f"), "it is a function");
    assert_eq!(why("path"), "it is a path");
    assert_eq!(why("deep.list.1"), "it is a function");
    assert_eq!(why("drv"), "it is a derivation");
    assert_eq!(why("store"), "it refers to the Nix store");
    for place in ["ifd", "fetched"] {
        assert!(!why(place).is_empty());
    }
    assert!(rest.iter().all(|(_, why)| !why.contains("root:")), "a file was read: {rest:?}");
}

#[tokio::test]
async fn what_is_no_expression_is_refused_with_its_place() {
    let Some(nix) = nix() else { return };
    for bad in ["{ a = ; }", "", "{ } ) (x: x", "{ }; { }"] {
        let error = nix.read_data(bad, &ample()).await.unwrap_err();
        assert!(
            matches!(&error, NixError::EvaluationFailed { message } if message.contains("syntax error")),
            "{bad}: {error}"
        );
    }
    let long = format!("\"{}\"", "x".repeat(MAX_TEXT));
    assert!(matches!(nix.read_data(&long, &ample()).await, Err(NixError::BadArgument { .. })));
}

#[tokio::test]
async fn an_expression_that_has_no_end_is_given_up_in_time_and_in_bounds() {
    let Some(nix) = nix() else { return };
    let run = Run::within(Duration::from_secs(3));
    for endless in [
        "{ a = let f = x: f (x + 1); in f 0; }",
        "builtins.foldl' (a: x: a ++ [ x ]) [ ] (builtins.genList (x: x) 10000000)",
        "{ a = builtins.genList (x: x) 1000000000000; }",
        "let x = { inherit x; }; in x",
    ] {
        let began = Instant::now();
        let outcome = nix.read_data(endless, &run).await;
        assert!(began.elapsed() < Duration::from_secs(20), "{endless}");
        match outcome {
            Ok(data) => assert!(!data.rest.is_empty() && data.leaves.is_empty(), "{endless}: {data:?}"),
            Err(error) => assert!(matches!(error, NixError::Timeout { .. }), "{endless}: {error}"),
        }
    }
}
