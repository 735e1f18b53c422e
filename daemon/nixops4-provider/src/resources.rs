//! The types of resources: what goes into them and what comes out. A field that nobody knows is refused, as the protocol
//! wants it.

use berth_domain::{MachineName, TenantName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backend::ProviderError;
use crate::protocol::Properties;

/// The type of a machine that runs its tenant's system.
pub const DEPLOYMENT: &str = "deployment";

/// The type of what keeps NixOps4's state.
pub const STATE: &str = "state";

/// The longest list of names that are secrets.
const MAX_SENSITIVE: usize = 1000;

/// What a deployment is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Whose system it is; absent for a vacant machine, which only the daemon itself deploys.
    pub tenant: Option<TenantName>,
    /// The machine.
    pub machine: MachineName,
    /// The system's store path.
    pub system: String,
}

/// What came of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deployed {
    /// The system that the machine runs.
    pub system: String,
    /// The revision of the tenant's configuration that it was built from.
    pub revision: String,
    /// The operation that saw to it.
    pub operation: String,
}

/// Which state, and what in it is a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateOf {
    /// Whose.
    pub tenant: TenantName,
    /// Names of properties that are secrets although their names do not say so.
    pub sensitive: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeploymentInputs {
    tenant: Option<String>,
    machine: String,
    system: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateInputs {
    tenant: String,
    #[serde(default)]
    sensitive: Vec<String>,
}

impl Deployment {
    /// Reads the inputs.
    ///
    /// # Errors
    /// [`ProviderError::Input`]
    pub fn read(inputs: Properties) -> Result<Self, ProviderError> {
        let inputs: DeploymentInputs = typed(DEPLOYMENT, inputs)?;
        let system = inputs.system;
        let tail = system.strip_prefix("/nix/store/").unwrap_or_default();
        let good = |c: char| c.is_ascii_alphanumeric() || "+-._?=".contains(c);
        if tail.len() < 34 || !tail.chars().all(good) {
            return Err(ProviderError::input("system", "must be a path directly in /nix/store"));
        }
        let tenant = inputs.tenant.as_deref().map(|text| name("tenant", text)).transpose()?;
        Ok(Self { tenant, machine: name("machine", &inputs.machine)?, system })
    }
}

impl Deployed {
    /// The outputs.
    pub fn properties(&self) -> Properties {
        let text = |text: &String| Value::String(text.clone());
        Properties::from_iter([
            ("system".to_owned(), text(&self.system)),
            ("revision".to_owned(), text(&self.revision)),
            ("operation".to_owned(), text(&self.operation)),
        ])
    }
}

impl StateOf {
    /// Reads the inputs.
    ///
    /// # Errors
    /// [`ProviderError::Input`]
    pub fn read(inputs: Properties) -> Result<Self, ProviderError> {
        let inputs: StateInputs = typed(STATE, inputs)?;
        if inputs.sensitive.len() > MAX_SENSITIVE {
            return Err(ProviderError::input(
                "sensitive",
                format!("must have at most {MAX_SENSITIVE} names"),
            ));
        }
        Ok(Self { tenant: name("tenant", &inputs.tenant)?, sensitive: inputs.sensitive })
    }
}

fn typed<T: for<'de> Deserialize<'de>>(kind: &str, inputs: Properties) -> Result<T, ProviderError> {
    T::deserialize(Value::Object(inputs)).map_err(|error| {
        let error = error.to_string();
        let harmless = ["missing field", "unknown field"].iter().any(|words| error.starts_with(words));
        let message =
            if harmless { error } else { "one of them is not of the type that it should be".into() };
        ProviderError::Input { field: format!("inputs of a {kind}"), message }
    })
}

fn name<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, ProviderError> {
    text.parse().map_err(|_| ProviderError::input(field, "must be a name as Berth gives them: a DNS label"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SYSTEM: &str = "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-nixos";

    fn inputs(value: Value) -> Properties {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn inputs_are_checked_before_anything_is_done() {
        let good = json!({"tenant": "acme", "machine": "vm1", "system": SYSTEM});
        assert!(Deployment::read(inputs(good)).is_ok());
        assert_eq!(
            Deployment::read(inputs(json!({"tenant": null, "machine": "vm1", "system": SYSTEM})))
                .unwrap()
                .tenant,
            None
        );
        for (bad, named) in [
            (json!({"machine": "vm1"}), "missing field `system`"),
            (
                json!({"tenant": "acme", "machine": "vm1", "system": SYSTEM, "token": "x"}),
                "unknown field `token`",
            ),
            (json!({"tenant": "Not A Name", "machine": "vm1", "system": SYSTEM}), "tenant: "),
            (json!({"tenant": "acme", "machine": "vm1", "system": "/etc/passwd"}), "system: "),
            (
                json!({"tenant": "acme", "machine": "vm1", "system": "/nix/store/../../etc/passwd-000000000000"}),
                "system: ",
            ),
            (json!({"tenant": ["hunter2"], "machine": "vm1", "system": SYSTEM}), "not of the type"),
        ] {
            let message = Deployment::read(inputs(bad)).unwrap_err().to_string();
            assert!(message.contains(named) && !message.contains("hunter2"), "{message}");
        }
        assert!(StateOf::read(inputs(json!({"tenant": "acme", "sensitive": ["dsn"]}))).is_ok());
        assert!(StateOf::read(inputs(json!({}))).is_err());
    }
}
