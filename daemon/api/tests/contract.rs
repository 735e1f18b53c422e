//! `openapi/openapi.json` is what the daemon serves, and a contract that generators can read.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

#[test]
fn the_contract_in_the_repository_is_the_one_that_is_served() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/openapi.json");
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let served = format!("{}\n", berth_api::contract().to_pretty_json().unwrap());
    assert!(
        kept == served,
        "openapi/openapi.json is old; write it anew with: berth daemon openapi > openapi/openapi.json"
    );
}

#[test]
fn every_route_has_a_name_of_its_own_and_says_which_token_it_needs() {
    let contract = serde_json::to_value(berth_api::contract()).unwrap();
    let mut names = BTreeSet::new();
    for (path, item) in contract["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
            let needed = operation["security"][0]["bearer"][0].as_str();
            let a_ticket = path.starts_with("/v1/transfers/");
            assert_eq!(needed.is_some(), path.starts_with("/v1/") && !a_ticket, "{method} {path}");
            assert_eq!(operation["security"][0]["ticket"].is_array(), a_ticket, "{method} {path}");
        }
    }
}

#[test]
fn every_way_to_authenticate_is_described() {
    let contract = serde_json::to_value(berth_api::contract()).unwrap();
    let schemes = contract["components"]["securitySchemes"].as_object().unwrap();
    for item in contract["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            for needed in operation["security"].as_array().into_iter().flatten() {
                for scheme in needed.as_object().unwrap().keys() {
                    assert!(schemes.contains_key(scheme), "{}: {scheme}", operation["operationId"]);
                }
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let contract = serde_json::to_value(berth_api::contract()).unwrap();
    let mut open = vec![&contract];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(contract.pointer(pointer).is_some(), "{reference}");
                }
                open.extend(map.values());
            }
            _ => {}
        }
    }
}
