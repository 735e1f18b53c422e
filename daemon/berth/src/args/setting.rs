//! Settings on the command line: `gitea:app_name=Acme,registration=open` and `gitea.app_name=Acme`.

use std::str::FromStr;

use serde_json::{Map, Value};

/// A service and its settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// The service's name; the daemon checks it.
    pub service: String,
    /// Its settings.
    pub settings: Map<String, Value>,
}

/// One setting of a service, or of the tenant itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The service; `None` for the tenant's own field.
    pub service: Option<String>,
    /// Name of the setting or field.
    pub key: String,
    /// Its value.
    pub value: Value,
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, settings) = text.split_once(':').unwrap_or((text, ""));
        if service.is_empty() {
            return Err("must start with the name of a service".to_owned());
        }
        let pairs = settings.split(',').filter(|pair| !pair.is_empty());
        let settings = pairs.map(|pair| {
            let (key, value) = pair.split_once('=').ok_or_else(|| format!("“{pair}” is not KEY=VALUE"))?;
            Ok((key.trim().to_owned(), value_of(value)))
        });
        Ok(Self { service: service.to_owned(), settings: settings.collect::<Result<_, String>>()? })
    }
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, value) = text.split_once('=').ok_or("must be KEY=VALUE or SERVICE.KEY=VALUE")?;
        let (service, key) = match path.split_once('.') {
            Some((service, key)) => (Some(service), key),
            None => (None, path),
        };
        if key.is_empty() || service == Some("") {
            return Err("must be KEY=VALUE or SERVICE.KEY=VALUE".to_owned());
        }
        Ok(Self { service: service.map(str::to_owned), key: key.to_owned(), value: value_of(value) })
    }
}

/// What reads as JSON is taken as such (`true`, `12`, `["a"]`, `"12"`), anything else as text.
fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_service_comes_with_or_without_settings() {
        let selection: Selection = "gitea:app_name=Acme Git,large_files=false".parse().unwrap();
        assert_eq!(selection.service, "gitea");
        assert_eq!(Value::Object(selection.settings), json!({"app_name": "Acme Git", "large_files": false}));
        assert_eq!("gitea".parse::<Selection>().unwrap().settings, Map::new());
        assert!(":x=1".parse::<Selection>().is_err());
        assert_eq!("gitea:x".parse::<Selection>().unwrap_err(), "“x” is not KEY=VALUE");
    }

    #[test]
    fn a_value_is_json_where_it_can_be_and_text_otherwise() {
        let value = |text: &str| text.parse::<Assignment>().unwrap().value;
        assert_eq!(value("a.b=true"), json!(true));
        assert_eq!(value("a.b=12"), json!(12));
        assert_eq!(value("a.b=\"12\""), json!("12"));
        assert_eq!(value("a.b=Acme, Inc. = us"), json!("Acme, Inc. = us"));
        assert_eq!(value("a.b="), json!(""));
    }

    #[test]
    fn a_key_without_a_service_is_the_tenants_own() {
        let own: Assignment = "mode=standby".parse().unwrap();
        assert_eq!((own.service, own.key.as_str()), (None, "mode"));
        for bad in ["mode", "=x", ".x=1", "gitea.=1"] {
            assert!(bad.parse::<Assignment>().is_err(), "{bad}");
        }
    }
}
