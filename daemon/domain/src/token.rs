//! Who may do what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::invalid::Rule;
use crate::name::TenantName;

/// A token's id; it is public, unlike the token's secret.
pub type TokenId = uuid::Uuid;

/// What a bearer token opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// Everything, tokens included.
    Admin,
    /// Every tenant, machine and operation, but not tokens.
    Operator,
    /// One tenant: look at it, its configuration and its operations.
    TenantRead(TenantName),
    /// One tenant: also change and deploy it.
    TenantWrite(TenantName),
}

impl PartialSchema for Scope {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .description(Some("What a token opens."))
            .pattern(Some("^(admin|operator|tenant:[a-z0-9-]{1,63}:(read|write))$"))
            .examples(["tenant:acme:read"])
            .into()
    }
}

impl ToSchema for Scope {}

/// What a request needs. A route names exactly one; nothing is allowed by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission<'a> {
    /// Tokens and the provider's own settings.
    Administer,
    /// Machines, and things that concern more than one tenant.
    Operate,
    /// Reading what every valid token may read, such as the catalogue.
    Authenticated,
    /// Reading one tenant.
    ReadTenant(&'a TenantName),
    /// Changing one tenant.
    WriteTenant(&'a TenantName),
}

impl Scope {
    /// Whether this scope opens `permission`.
    pub fn allows(&self, permission: Permission<'_>) -> bool {
        match (self, permission) {
            (Scope::Admin, _) | (_, Permission::Authenticated) => true,
            (_, Permission::Administer) => false,
            (Scope::Operator, _) => true,
            (Scope::TenantRead(own), Permission::ReadTenant(wanted)) => own == wanted,
            (Scope::TenantWrite(own), Permission::ReadTenant(wanted) | Permission::WriteTenant(wanted)) => {
                own == wanted
            }
            (Scope::TenantRead(_) | Scope::TenantWrite(_), _) => false,
        }
    }

    /// The tenant that this scope is confined to, if any.
    pub fn tenant(&self) -> Option<&TenantName> {
        match self {
            Scope::Admin | Scope::Operator => None,
            Scope::TenantRead(name) | Scope::TenantWrite(name) => Some(name),
        }
    }
}

impl FromStr for Scope {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let refuse = || Rule::new("scope", "must be admin, operator, tenant:NAME:read or tenant:NAME:write");
        match text.split(':').collect::<Vec<_>>()[..] {
            ["admin"] => Ok(Scope::Admin),
            ["operator"] => Ok(Scope::Operator),
            ["tenant", name, "read"] => name.parse().map(Scope::TenantRead),
            ["tenant", name, "write"] => name.parse().map(Scope::TenantWrite),
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Admin => f.write_str("admin"),
            Scope::Operator => f.write_str("operator"),
            Scope::TenantRead(name) => write!(f, "tenant:{name}:read"),
            Scope::TenantWrite(name) => write!(f, "tenant:{name}:write"),
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = Rule;

    fn try_from(text: String) -> Result<Self, Rule> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_opens_its_own_door_only() {
        let acme: TenantName = "acme".parse().unwrap();
        let other: TenantName = "other".parse().unwrap();
        let read: Scope = "tenant:acme:read".parse().unwrap();
        let write: Scope = "tenant:acme:write".parse().unwrap();
        assert!(read.allows(Permission::ReadTenant(&acme)));
        assert!(!read.allows(Permission::WriteTenant(&acme)));
        assert!(write.allows(Permission::ReadTenant(&acme)) && write.allows(Permission::WriteTenant(&acme)));
        assert!(!write.allows(Permission::ReadTenant(&other)) && !write.allows(Permission::Operate));
        assert!(Scope::Operator.allows(Permission::WriteTenant(&other)));
        assert!(!Scope::Operator.allows(Permission::Administer));
        assert!(Scope::Admin.allows(Permission::Administer));
        for bad in
            ["", "Admin", "tenant", "tenant:acme", "tenant:acme:own", "tenant:a_b:read", "tenant:a:read:x"]
        {
            assert!(bad.parse::<Scope>().is_err(), "{bad}");
        }
    }
}
