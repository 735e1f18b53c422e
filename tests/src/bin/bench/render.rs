//! How long it takes to render many tenants.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Context as _;
use berth_domain::{MachineName, TenantSpec};
use berth_render::{PlatformPin, RenderInput, RenderMachine, Tls, render};
use berth_tests::drafts;
use serde_json::{Value, json};

use crate::Tell;

const TENANTS: usize = 10_000;

/// Renders [`TENANTS`] tenants once, on one core, as a daemon would that starts with none of them rendered.
pub fn measure(tell: &Tell) -> anyhow::Result<Value> {
    let tenants = drafts::many(TENANTS).map(TenantSpec::try_from).collect::<Result<Vec<_>, _>>()?;
    let platform: PlatformPin = "path:/nix/store/00000000000000000000000000000000-berth".parse()?;
    let address = "192.0.2.10".parse().ok().context("an address")?;
    tell.say(&format!("rendering {TENANTS} tenants with three services each"));
    let start = Instant::now();
    let mut bytes = 0;
    for tenant in &tenants {
        bytes += rendered_bytes(tenant, &tenant.machine, &address, &platform)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    tell.say(&format!("{bytes} bytes in {seconds:.3} s"));
    Ok(json!({ "tenants": TENANTS, "seconds": (seconds * 1000.0).round() / 1000.0 }))
}

fn rendered_bytes(
    tenant: &TenantSpec,
    name: &MachineName,
    address: &berth_domain::Address,
    platform: &PlatformPin,
) -> anyhow::Result<usize> {
    let machine = RenderMachine { name, address, system: "x86_64-linux", tls: Tls::Acme, ssh: None };
    let rendered = render(&RenderInput { tenant: Some(tenant), machine: &machine, platform })?;
    Ok(black_box(rendered).files.values().map(String::len).sum())
}
