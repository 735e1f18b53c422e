//! `berth service …`

use berth_contract::Service as ServiceBody;
use serde_json::Value;

use super::Context;
use crate::args::Service;
use crate::failure::Result;
use crate::table::{columns, pairs};

pub(super) async fn run(context: &Context, command: Service) -> Result<()> {
    let Context { client, output } = context;
    match command {
        Service::List => output.result(&client.services().await?, |services| list(services)),
        Service::Show { name } => output.result(&client.service(&name).await?, show),
    }
    Ok(())
}

fn list(services: &[ServiceBody]) -> String {
    let row = |service: &ServiceBody| {
        let entry = &service.entry;
        vec![service.name.to_string(), entry.title.clone(), entry.summary.clone()]
    };
    columns(&["name", "title", "what it is"], &services.iter().map(row).collect::<Vec<_>>())
}

fn show(service: &ServiceBody) -> String {
    let entry = &service.entry;
    let head = pairs(&[
        ("name", Some(service.name.to_string())),
        ("title", Some(entry.title.clone())),
        ("what it is", Some(entry.summary.clone())),
        ("homepage", Some(entry.homepage.clone())),
        ("needs", Some(format!("{} MiB of memory, {} MiB of disk", entry.memory_mib, entry.disk_mib))),
    ]);
    let properties = entry.settings["properties"].as_object();
    let rows: Vec<_> = properties.into_iter().flatten().map(|(key, schema)| setting(key, schema)).collect();
    format!("{head}\n\n{}", columns(&["setting", "value", "default", "what it is"], &rows))
}

fn setting(key: &str, schema: &Value) -> Vec<String> {
    let description = schema["description"].as_str().unwrap_or_default().to_owned();
    let default = schema.get("default").map(plain).unwrap_or_default();
    vec![key.to_owned(), values(schema), default, description]
}

/// What may be given, as a JSON Schema says it.
fn values(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(plain).collect::<Vec<_>>().join("|");
    }
    match &schema["type"] {
        Value::String(word) => word.clone(),
        Value::Array(words) => words.iter().map(plain).collect::<Vec<_>>().join("|"),
        _ => "any".to_owned(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
