//! The services on offer, as the modules describe them (`modules/catalogue.json`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::name::ServiceName;

/// Every service on offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Catalogue {
    /// The format's version: 1.
    pub version: u32,
    /// The services, by name.
    pub services: BTreeMap<ServiceName, CatalogueEntry>,
}

/// What a panel needs to offer a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CatalogueEntry {
    /// Its name for people.
    #[schema(example = "Gitea")]
    pub title: String,
    /// One sentence for a customer.
    pub summary: String,
    /// The project's own site.
    pub homepage: String,
    /// The sub-domain that it takes unless told otherwise.
    #[schema(example = "git")]
    pub subdomain: String,
    /// Memory that it needs to run well, in MiB.
    pub memory_mib: u64,
    /// Disk that it needs before any customer data, in MiB.
    pub disk_mib: u64,
    /// Where its settings and its state are described by those who make it.
    pub sources: Vec<String>,
    /// What cannot be changed any more once it was deployed, with the reason: settings by name, and `host` for the
    /// tenant's domain and the service's sub-domain.
    pub fixed: BTreeMap<String, String>,
    /// Headings for a form, in order, each with the settings that belong under it, in order.
    pub groups: Vec<Group>,
    /// JSON Schema (2020-12) of its settings: an object without unknown properties. A secret is `writeOnly`.
    #[schema(value_type = Object)]
    pub settings: serde_json::Value,
}

/// A part of a form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Its heading.
    #[schema(example = "Registration")]
    pub title: String,
    /// The names of its settings.
    pub settings: Vec<String>,
}
