//! What customers gave in confidence, opened for the machine that needs it.

use std::collections::BTreeSet;

use berth_domain::manifest::{Generator, Manifest};
use berth_domain::{ServiceName, Setting, TenantSpec};
use berth_protocol::{Answer, GivenSecret, Request, SecretText};
use berth_seal::About;
use secrecy::SecretString;

use super::Context;
use super::context::unexpected;
use crate::buckets::key_setting;
use crate::error::StepError;
use crate::ports::Sink;

/// A secret that a system wants: the service, its name, the setting, the value's number.
pub(super) type Wanted<'a> = (&'a ServiceName, &'a str, &'a str, u64);

impl Context {
    /// Has the machine put a system's secrets in place, whichever driver switches it. An earlier system that is gone back to
    /// finds its own: each given value has a file for itself.
    pub(super) async fn prepare_secrets(&mut self, system: &str, sink: &Sink) -> Result<(), StepError> {
        let given = self.given_secrets(system).await?;
        let request = Request::PrepareSecrets { claim: self.claim(), system: system.to_owned(), given };
        match self.call(request, self.shared.options.timeouts.brief, sink).await? {
            Answer::Prepared => Ok(()),
            _ => Err(unexpected("the secrets")),
        }
    }

    /// The secrets that the running system's services made of chance, and whose loss would cost something.
    pub(super) async fn secrets_of(&mut self, sink: &Sink) -> Result<Vec<GivenSecret>, StepError> {
        let request = Request::SecretsOf { claim: self.own_claim(), system: self.system()? };
        match self.call(request, self.shared.options.timeouts.brief, sink).await? {
            Answer::Secrets(secrets) => Ok(secrets),
            _ => Err(unexpected("the secrets")),
        }
    }

    /// The secrets that `system` is to be given, in clear.
    async fn given_secrets(&self, system: &str) -> Result<Vec<GivenSecret>, StepError> {
        let manifest = self.shared.builder.manifest(system).await?;
        let wanted: Vec<_> = wanted(&manifest).collect();
        let (Some(revision), false) = (&self.revision, wanted.is_empty()) else { return Ok(Vec::new()) };
        let spec = match self.is_a_drill() {
            // Nobody keeps its revision: the tenant is never deployed so.
            true => self.drilled_spec().await?,
            false => self.shared.records.revision(&self.tenant, revision).await?.spec,
        };
        let keys = if self.is_a_drill() { bucket_keys(&manifest) } else { BTreeSet::new() };
        let given = wanted.into_iter().map(|wanted| match keys.contains(&(wanted.0, wanted.1)) {
            // The copy behind the fence may be broken out of; what it holds must not open what the tenant lives on.
            true => {
                Ok(GivenSecret { service: wanted.0.to_string(), name: wanted.1.into(), value: no_key()? })
            }
            false => self.opened(&spec, wanted),
        });
        given.collect()
    }

    /// Opens each secret that somebody gave for a tenant, and puts something else in its place.
    pub(super) fn open_each(
        &self,
        spec: &mut TenantSpec,
        mut put: impl FnMut(About, SecretString) -> Setting,
    ) -> Result<(), StepError> {
        let tenant = spec.name.to_string();
        spec.try_each_secret(|service, at, setting| {
            let Setting::Secret(secret) = setting else { return Ok(()) };
            let (tenant, service) = (tenant.clone(), service.to_string());
            let about = About { tenant, service, setting: at.to_owned(), version: secret.version };
            let value = self.shared.keys.open(&about, &secret.sealed)?;
            *setting = put(about, value);
            Ok(())
        })
    }

    pub(super) fn opened(&self, spec: &TenantSpec, wanted: Wanted<'_>) -> Result<GivenSecret, StepError> {
        let (service, name, setting, version) = wanted;
        let settings = spec.services.get(service).map(|selection| Setting::Attrs(selection.settings.clone()));
        let secret = settings.as_ref().and_then(|settings| settings.secret_at(setting));
        let secret = secret.filter(|secret| secret.version == version).ok_or_else(|| {
            StepError::failed("secret-missing", format!("the secret {service}{setting} was never given"))
        })?;
        let about = About {
            tenant: self.tenant.to_string(),
            service: service.to_string(),
            setting: setting.to_owned(),
            version,
        };
        let value = self.shared.keys.open(&about, &secret.sealed)?;
        Ok(GivenSecret { service: service.to_string(), name: name.to_owned(), value: value.into() })
    }
}

/// The secrets that open buckets, by service and name.
fn bucket_keys(manifest: &Manifest) -> BTreeSet<(&ServiceName, &str)> {
    let keys = manifest.services.iter().flat_map(|(service, contract)| {
        let buckets = contract.state.buckets.iter();
        buckets.filter_map(move |bucket| Some((service, key_setting(contract, bucket)?.0)))
    });
    keys.collect()
}

/// A key that opens nothing.
fn no_key() -> Result<SecretText, StepError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| StepError::failed("internal", error.to_string()))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(SecretText::from(SecretString::from(digits)))
}

fn wanted(manifest: &Manifest) -> impl Iterator<Item = Wanted<'_>> {
    manifest.services.iter().flat_map(|(service, contract)| {
        contract.secrets.iter().filter_map(move |secret| match &secret.generate {
            Generator::Supplied { setting, version } => {
                Some((service, secret.name.as_str(), setting.as_str(), *version))
            }
            _ => None,
        })
    })
}
