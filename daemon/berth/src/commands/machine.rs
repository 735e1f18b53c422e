//! `berth machine …`

use berth_contract::Machine as MachineBody;
use berth_domain::{Driver, MachineDraft, MachineFacts};

use super::Context;
use crate::args::machine::{Add, HostKey, Machine};
use crate::failure::{Failure, Result};
use crate::table::{columns, pairs};
use crate::words;

pub(super) async fn run(context: &Context, command: Machine) -> Result<()> {
    let Context { client, output } = context;
    match command {
        Machine::Add(options) => {
            let machine = client.create_machine(&draft(options)?).await?;
            output.result(&machine, |machine| format!("{} is registered", machine.spec.name));
        }
        Machine::List => output.result(&client.machines().await?, |machines| list(machines)),
        Machine::Show { name } => output.result(&client.machine(&name).await?, show),
        Machine::Delete { name } => {
            client.delete_machine(&name).await?;
            output.result(&serde_json::json!({"deleted": name}), |_| format!("{name} is forgotten"));
        }
    }
    Ok(())
}

fn draft(options: Add) -> Result<MachineDraft> {
    Ok(MachineDraft {
        name: options.name.into(),
        address: options.address,
        port: options.port,
        user: options.user,
        host_key: host_key(options.key)?,
        driver: options.driver.map(|driver| driver.word().to_owned()),
    })
}

fn host_key(key: HostKey) -> Result<String> {
    match (key.host_key, key.host_key_file) {
        (Some(key), _) => Ok(key),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(&file)
                .map_err(|error| Failure::local(format!("{} cannot be read: {error}", file.display())))?;
            Ok(text.trim().to_owned())
        }
        // clap asks for one of the two.
        (None, None) => Err(Failure::Usage("give --host-key or --host-key-file".to_owned())),
    }
}

fn list(machines: &[MachineBody]) -> String {
    if machines.is_empty() {
        return "no machines yet; berth machine add registers one".to_owned();
    }
    let row = |machine: &MachineBody| {
        let spec = &machine.spec;
        let system = machine.facts.as_ref().map_or("not seen yet", |facts| facts.os.as_str());
        vec![spec.name.clone(), address(&machine.spec), driver(machine), used(machine), system.to_owned()]
    };
    columns(&["name", "address", "driver", "tenant", "system"], &machines.iter().map(row).collect::<Vec<_>>())
}

/// A daemon that is older than drivers says none.
fn driver(machine: &MachineBody) -> String {
    machine.spec.driver.clone().unwrap_or_else(|| Driver::Berth.to_string())
}

fn used(machine: &MachineBody) -> String {
    if let Some(tenant) = &machine.lent_to {
        return format!("lent for a drill of {tenant}");
    }
    match (&machine.tenant, &machine.holds_data_of) {
        (Some(tenant), _) => tenant.to_string(),
        (None, Some(tenant)) => format!("free, holds data of {tenant}"),
        (None, None) => "free".to_owned(),
    }
}

fn address(spec: &MachineDraft) -> String {
    let user = spec.user.as_deref().unwrap_or("root");
    match spec.port {
        None | Some(22) => format!("{user}@{}", spec.address),
        Some(port) => format!("{user}@{} port {port}", spec.address),
    }
}

fn show(machine: &MachineBody) -> String {
    let facts = machine.facts.as_ref();
    let fact = |read: fn(&MachineFacts) -> String| facts.map(read);
    pairs(&[
        ("name", Some(machine.spec.name.clone())),
        ("address", Some(address(&machine.spec))),
        ("host key", Some(machine.spec.host_key.clone())),
        ("driver", Some(driver(machine))),
        ("tenant", Some(used(machine))),
        ("registered", Some(words::instant(machine.created_at))),
        ("seen", fact(|facts| words::instant(facts.at))),
        ("system", fact(|facts| format!("{}, {}", facts.os, facts.system))),
        ("kernel", fact(|facts| facts.kernel.clone())),
        ("systemd", facts.and_then(|facts| facts.systemd_version.clone())),
        ("Nix", facts.and_then(|facts| facts.nix_version.clone())),
        ("agent", fact(|facts| facts.agent_version.clone())),
        ("memory", fact(|f| free_of(f.memory_available_bytes, f.memory_bytes))),
        ("disk", fact(|f| free_of(f.disk_available_bytes, f.disk_bytes))),
        ("runs", facts.and_then(|facts| facts.running_system.clone())),
        ("boots", facts.and_then(|facts| facts.committed_system.clone())),
        (
            "failed units",
            facts.filter(|facts| !facts.failed_units.is_empty()).map(|facts| facts.failed_units.join("\n")),
        ),
    ])
}

fn free_of(free: u64, all: u64) -> String {
    format!("{} free of {}", words::bytes(free), words::bytes(all))
}
