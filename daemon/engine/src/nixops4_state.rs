//! What NixOps4 knows of a tenant's resources: sealed in the database, changed by patches, shown without secrets.
//!
//! NixOps4 puts every property of every resource into its state, secrets included, and needs them back as they were. So
//! the whole document and every patch are sealed for the database; only whoever has the state's lease gets them in
//! clear, and everybody else is shown them redacted.

use berth_domain::{TenantName, redact};
pub use berth_protocol::nixops4::StateChange;
use berth_seal::{About, SealError};
use berth_store::nixops4::{ChangeRecord, LeaseRecord, NewState, StateRecord};
use berth_store::{Page, StoreError};
use chrono::{SubsecRound, TimeDelta, Utc};
use json_patch::{Patch, PatchOperation};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::engine::{Engine, Shared};

/// How long a lease lasts unless it is renewed.
pub const LEASE: TimeDelta = TimeDelta::seconds(60);

/// The largest state, in bytes of JSON.
const MAX_STATE: usize = 8 * 1024 * 1024;

/// The longest word for what happened, or for NixOps4's version, in bytes.
const MAX_WORD: usize = 100;

/// How many names may be declared as secrets.
const MAX_SENSITIVE: usize = 1000;

/// Why a state cannot be read or changed. Nothing was changed; no message holds a value of the state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The change breaks a rule.
    #[error("{field}: {message}")]
    Invalid {
        /// The field, as a JSON pointer into the change.
        field: &'static str,
        /// The rule.
        rule: &'static str,
        /// What is wrong, for a person.
        message: String,
    },
}

/// A state as it is shown to those who do not have its lease.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownState {
    /// The document, without secrets.
    pub state: Value,
    /// Counts the changes.
    pub serial: i64,
    /// Who has the lease now.
    pub lease: Option<LeaseRecord>,
}

/// A change as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownChange {
    /// What is stored of it; the patch is sealed.
    pub record: ChangeRecord,
    /// The patch, without secrets.
    pub patch: Value,
}

/// A lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// The number that changes have to name.
    pub fence: i64,
    /// Who has it, and until when.
    pub record: LeaseRecord,
}

impl Engine {
    /// A tenant's NixOps4 state without its secrets.
    ///
    /// # Errors
    /// [`StateError`]
    pub async fn nixops4_state(&self, tenant: &TenantName) -> Result<ShownState, StateError> {
        let record = self.shared.records.nixops4_state(tenant).await?;
        let state = redact::json(&self.shared.document(tenant, &record)?, &record.sensitive);
        let lease = record.lease.filter(|lease| lease.until > Utc::now());
        Ok(ShownState { state, serial: record.serial, lease })
    }

    /// A tenant's NixOps4 state as it is, for who has its lease.
    ///
    /// # Errors
    /// [`StoreError::StateLeaseLost`], and any other [`StateError`]
    pub async fn nixops4_state_in_clear(&self, tenant: &TenantName, fence: i64) -> Result<Value, StateError> {
        self.shared.nixops4_state_in_clear(tenant, fence).await
    }

    /// Takes the lease of a state, or renews it.
    ///
    /// # Errors
    /// [`StoreError::StateLeased`], and any other [`StateError`]
    pub async fn lease_nixops4_state(
        &self,
        tenant: &TenantName,
        holder: &str,
        held_by: &str,
    ) -> Result<Lease, StateError> {
        self.shared.lease_nixops4_state(tenant, holder, held_by).await
    }

    /// What a change leads to, to be kept by [`berth_store::Store::keep_nixops4_state`].
    ///
    /// # Errors
    /// [`StateError`]
    pub async fn changed_nixops4_state(
        &self,
        tenant: &TenantName,
        fence: i64,
        made_by: &str,
        change: StateChange,
    ) -> Result<NewState, StateError> {
        self.shared.changed_nixops4_state(tenant, fence, made_by, change).await
    }

    /// The changes of a state, newest first, without secrets.
    ///
    /// # Errors
    /// [`StateError`]
    pub async fn nixops4_changes(
        &self,
        tenant: &TenantName,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<ShownChange>, StateError> {
        let records = &self.shared.records;
        let sensitive = records.nixops4_state(tenant).await?.sensitive;
        let page = records.list_nixops4_changes(tenant, after, limit).await?;
        let shown = page.items.into_iter().map(|record| {
            let patch = self.shared.opened(&about(tenant, "/patch", record.serial), &record.patch)?;
            Ok(ShownChange { patch: shown_patch(&patch, &sensitive), record })
        });
        Ok(Page { items: shown.collect::<Result<_, StateError>>()?, next: page.next })
    }
}

impl Shared {
    pub(crate) async fn nixops4_state_in_clear(
        &self,
        tenant: &TenantName,
        fence: i64,
    ) -> Result<Value, StateError> {
        let record = self.records.nixops4_state(tenant).await?;
        held(&record, fence)?;
        self.document(tenant, &record)
    }

    pub(crate) async fn lease_nixops4_state(
        &self,
        tenant: &TenantName,
        holder: &str,
        held_by: &str,
    ) -> Result<Lease, StateError> {
        let now = Utc::now().trunc_subsecs(3);
        let record = LeaseRecord { holder: holder.into(), held_by: held_by.into(), until: now + LEASE };
        let fence = self.records.lease_nixops4_state(tenant, &record, now).await?;
        Ok(Lease { fence, record })
    }

    pub(crate) async fn changed_nixops4_state(
        &self,
        tenant: &TenantName,
        fence: i64,
        made_by: &str,
        change: StateChange,
    ) -> Result<NewState, StateError> {
        let operations = checked(&change)?;
        let record = self.records.nixops4_state(tenant).await?;
        held(&record, fence)?;
        let document = patched(self.document(tenant, &record)?, &operations)?;
        let serial = record.serial + 1;
        let mut sensitive = record.sensitive;
        sensitive.extend(change.sensitive);
        sensitive.sort();
        sensitive.dedup();
        if sensitive.len() > MAX_SENSITIVE {
            let message = format!("at most {MAX_SENSITIVE} names can be declared as secrets");
            return Err(StateError::Invalid { field: "/sensitive", rule: "length", message });
        }
        Ok(NewState {
            document: self.sealed(&about(tenant, "/state", serial), &document)?,
            sensitive,
            fence,
            change: ChangeRecord {
                serial,
                at: Utc::now().trunc_subsecs(3),
                event: change.event,
                nixops_version: change.nixops_version,
                made_by: made_by.into(),
                patch: self.sealed(&about(tenant, "/patch", serial), &change.patch)?,
            },
        })
    }

    fn document(&self, tenant: &TenantName, record: &StateRecord) -> Result<Value, StateError> {
        match &record.document {
            Some(sealed) => self.opened(&about(tenant, "/state", record.serial), sealed),
            None => Ok(empty()),
        }
    }

    fn sealed(&self, about: &About, value: &Value) -> Result<String, StateError> {
        Ok(self.keys.seal(about, &SecretString::from(value.to_string()))?)
    }

    fn opened(&self, about: &About, sealed: &str) -> Result<Value, StateError> {
        let text = self.keys.open(about, sealed)?;
        serde_json::from_str(text.expose_secret())
            .map_err(|_| SealError::Open(format!("{}{}", about.tenant, about.setting)).into())
    }
}

/// The state before the first change, as NixOps4 wants to read it.
fn empty() -> Value {
    json!({"_type": "nixopsState", "resources": {}, "deployments": {}})
}

fn about(tenant: &TenantName, setting: &str, serial: i64) -> About {
    About::nixops4(tenant.as_str(), setting, serial)
}

fn held(record: &StateRecord, fence: i64) -> Result<(), StoreError> {
    if record.fence == fence && record.lease.is_some() {
        return Ok(());
    }
    Err(StoreError::StateLeaseLost { fence })
}

/// The operations of a change that keeps the rules.
fn checked(change: &StateChange) -> Result<Patch, StateError> {
    for (field, word) in [("/event", &change.event), ("/nixops_version", &change.nixops_version)] {
        if word.is_empty() || word.len() > MAX_WORD || word.chars().any(char::is_control) {
            let message = format!("must be 1 to {MAX_WORD} bytes, without control characters");
            return Err(StateError::Invalid { field, rule: "word", message });
        }
    }
    // What serde says of a wrong shape repeats values.
    let operations: Result<Vec<PatchOperation>, _> = serde_json::from_value(change.patch.clone());
    operations.map(Patch).map_err(|_| bad_patch("must be an array of operations as RFC 6902 defines them"))
}

fn patched(mut document: Value, operations: &Patch) -> Result<Value, StateError> {
    json_patch::patch(&mut document, operations).map_err(|error| bad_patch(error.to_string()))?;
    let maps =
        ["resources", "deployments"].iter().all(|name| document.get(name).is_some_and(Value::is_object));
    if document.get("_type").and_then(Value::as_str) != Some("nixopsState") || !maps {
        return Err(bad_patch(
            "must lead to a NixOps4 state: `_type` is nixopsState, `resources` and `deployments` are objects",
        ));
    }
    if document.to_string().len() > MAX_STATE {
        return Err(bad_patch(format!("must not lead to a state of more than {MAX_STATE} bytes")));
    }
    Ok(document)
}

fn bad_patch(message: impl Into<String>) -> StateError {
    StateError::Invalid { field: "/patch", rule: "json-patch", message: message.into() }
}

/// A patch without secrets: what one operation puts below a name of a secret is one as a whole.
fn shown_patch(patch: &Value, sensitive: &[String]) -> Value {
    let Value::Array(operations) = patch else { return Value::Null };
    let shown = operations.iter().map(|operation| {
        let mut shown = operation.clone();
        let path = operation.get("path").and_then(Value::as_str).unwrap_or_default();
        let below = path
            .split('/')
            .any(|name| redact::is_secret_name(name) || sensitive.iter().any(|own| own == name));
        if let Some(value) = shown.get_mut("value") {
            *value = if below { redact::NOT_SHOWN.into() } else { redact::json(value, sensitive) };
        }
        shown
    });
    Value::Array(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(patch: Value) -> StateChange {
        StateChange { event: "create".into(), nixops_version: "0.1.0".into(), patch, sensitive: Vec::new() }
    }

    fn applied(patch: Value) -> Result<Value, StateError> {
        patched(empty(), &checked(&change(patch))?)
    }

    #[test]
    fn what_nixops4_sends_is_kept_letter_by_letter() {
        // Its names are in snake_case here, whatever its schema says.
        let resource = json!({"type": "memo", "input_properties": {"initialize_with": 1}, "output_properties": {"value": 1}});
        let patch = json!([{"op": "add", "path": "/deployments/web", "value": {"resources": {"version": resource}, "deployments": {}}}]);
        let state = applied(patch).unwrap();
        assert_eq!(state["deployments"]["web"]["resources"]["version"], resource);
        assert_eq!(state["_type"], "nixopsState");
    }

    #[test]
    fn a_patch_that_breaks_a_rule_changes_nothing_and_its_refusal_shows_no_value() {
        let bad = [
            json!("hunter2"),
            json!([{"op": "add", "path": "/resources/x"}]),
            json!([{"op": "replace", "path": "/resources/none", "value": "hunter2"}]),
            json!([{"op": "test", "path": "/_type", "value": "hunter2"}]),
            json!([{"op": "remove", "path": "/_type"}]),
            json!([{"op": "replace", "path": "", "value": "hunter2"}]),
        ];
        for patch in bad {
            let error = applied(patch.clone()).unwrap_err().to_string();
            assert!(error.starts_with("/patch: ") && !error.contains("hunter2"), "{patch}: {error}");
        }
        let long = StateChange { event: "x".repeat(101), ..change(json!([])) };
        assert!(checked(&long).is_err());
    }

    #[test]
    fn shown_patches_hide_what_stands_below_a_name_of_a_secret() {
        let patch = json!([
            {"op": "replace", "path": "/resources/db/output_properties/password/0", "value": "hunter2"},
            {"op": "replace", "path": "/resources/db/output_properties/dsn", "value": "hunter2"},
            {"op": "add", "path": "/resources/db", "value": {"output_properties": {"token": "hunter2", "port": 1}}}
        ]);
        let shown = shown_patch(&patch, &["dsn".to_owned()]);
        assert!(!shown.to_string().contains("hunter2"), "{shown}");
        assert_eq!(shown[2]["value"]["output_properties"]["port"], 1);
    }
}
