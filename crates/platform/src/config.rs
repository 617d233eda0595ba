//! Layered configuration: embedded defaults, then the environment's file, then `APP__SECTION__KEY` variables, then
//! `APP__SECTION__KEY_FILE` variables that name a file holding the value (how orchestrators mount secrets).

use std::collections::BTreeMap;
use std::fmt;

use config::builder::DefaultState;
use config::{Config, ConfigBuilder, File, FileFormat, Value};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};

type Builder = ConfigBuilder<DefaultState>;

/// A value that is never printed: `Debug` and `Serialize` show `***`.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(SecretString);

impl Secret {
    /// The value itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether nothing was configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// Whether the value is one that documentation or development files hold.
    #[must_use]
    pub fn is_placeholder(&self) -> bool {
        let value = self.expose().to_ascii_lowercase();
        ["change-me", "changeme", "placeholder", "development", "example", "insecure"]
            .iter()
            .any(|word| value.contains(word))
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_empty() { "" } else { "***" })
    }
}

/// What the service is called and where the world reaches it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// The product's name: in mails, documents and logs, and a word that passwords may not contain.
    pub name: String,
    /// Where the world reaches it; links in mails and the issuer of tokens are made of it, never of a request's Host.
    pub public_url: String,
}

impl ServiceConfig {
    /// What is wrong with the values, as `(key, complaint)`; `strict` demands TLS.
    #[must_use]
    pub fn complaints(&self, strict: bool) -> Vec<(String, String)> {
        let url = &self.public_url;
        let complaint = if url.ends_with('/') || !(url.starts_with("https://") || url.starts_with("http://")) {
            "must look like https://api.example.com, without a slash at the end"
        } else if strict && (url.starts_with("http://") || url.contains("//localhost") || url.contains("//127.")) {
            "must be the https:// address the world uses"
        } else {
            return Vec::new();
        };
        vec![("service.public_url".to_owned(), complaint.to_owned())]
    }
}

/// Why the configuration cannot be used; the message names the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or variable cannot be read as configuration.
    #[error("the configuration cannot be read")]
    Unreadable(#[source] config::ConfigError),
    /// A key is unknown, missing or of the wrong type.
    #[error("configuration key `{key}`: {complaint}")]
    Key {
        /// `section.key`.
        key: String,
        /// What is wrong with it.
        complaint: String,
    },
    /// A file named by a `…_FILE` variable cannot be read.
    #[error("{variable} names {path}, which cannot be read")]
    SecretFile {
        /// The variable.
        variable: String,
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Reads the layers, weakest first, into `T`. Unknown keys are refused with their name.
///
/// # Errors
/// [`ConfigError`], which names the key or file.
pub fn load<T: DeserializeOwned>(layers: &[&str], variables: &BTreeMap<String, String>) -> Result<T, ConfigError> {
    let mut builder = Config::builder();
    for layer in layers {
        builder = builder.add_source(File::from_str(layer, FileFormat::Toml));
    }
    for (variable, value) in variables {
        let Some(name) = variable.strip_prefix("APP__") else { continue };
        let (name, value) = match name.strip_suffix("_FILE") {
            Some(name) => (name, read_secret_file(variable, value)?),
            None => (name, value.clone()),
        };
        let key = name.to_ascii_lowercase().replace("__", ".");
        builder = override_key(builder, key, value)?;
    }
    let merged = builder.build().map_err(ConfigError::Unreadable)?;
    serde_path_to_error::deserialize(merged).map_err(|error| {
        let key = error.path().to_string();
        ConfigError::Key { key, complaint: without_value(&error.into_inner()) }
    })
}

/// Variables hold text; one that reads as a TOML list becomes one.
fn override_key(builder: Builder, key: String, value: String) -> Result<Builder, ConfigError> {
    let as_list = || File::from_str(&format!("list = {value}"), FileFormat::Toml);
    let list = value.starts_with('[').then(|| Config::builder().add_source(as_list()).build().ok()).flatten();
    let list = list.and_then(|list| list.get::<Value>("list").ok());
    let set = builder.set_override(&key, list.unwrap_or_else(|| Value::from(value)));
    set.map_err(|error| ConfigError::Key { key, complaint: without_value(&error) })
}

/// The library quotes values of the wrong type; one of them may be a secret in the wrong place.
fn without_value(error: &config::ConfigError) -> String {
    let text = error.to_string();
    if text.contains("invalid type") || text.contains("invalid value") {
        "has a value of the wrong type or shape".to_owned()
    } else {
        text
    }
}

/// The variables of this process that may hold configuration.
#[must_use]
pub fn process_variables() -> BTreeMap<String, String> {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("APP_") || name == "DATABASE_URL")
        .collect()
}

fn read_secret_file(variable: &str, path: &str) -> Result<String, ConfigError> {
    let content = std::fs::read_to_string(path).map_err(|source| ConfigError::SecretFile {
        variable: variable.to_owned(),
        path: path.to_owned(),
        source,
    })?;
    Ok(content.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        http: Http,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Http {
        port: u16,
        secret: Secret,
    }

    const DEFAULTS: &str = "[http]\nport = 8080\nsecret = \"a\"";

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn later_layers_win_and_variables_win_over_files() {
        let sample: Sample = load(&[DEFAULTS, "[http]\nport = 1"], &variables(&[])).expect("valid");
        assert_eq!(sample.http.port, 1);
        let sample: Sample = load(&[DEFAULTS], &variables(&[("APP__HTTP__PORT", "2")])).expect("valid");
        assert_eq!(sample.http.port, 2);
    }

    #[test]
    fn an_unknown_key_or_a_wrong_type_is_named() {
        let unknown = load::<Sample>(&[DEFAULTS, "[http]\nprot = 1"], &variables(&[])).expect_err("unknown key");
        assert!(unknown.to_string().contains("prot"), "{unknown}");
        let wrong = load::<Sample>(&[DEFAULTS], &variables(&[("APP__HTTP__PORT", "many")])).expect_err("wrong type");
        assert!(wrong.to_string().contains("http.port"), "{wrong}");
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        for variable in ["APP__HTTP", "APP__HTTP__PORT", "APP__HTTP__SECRET__DEEPER"] {
            let error = load::<Sample>(&[DEFAULTS], &variables(&[(variable, "hunter2")])).expect_err(variable);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn a_variable_may_hold_a_list() {
        #[derive(Deserialize)]
        struct Lists {
            names: Vec<String>,
        }
        let lists: Lists = load(&["names = []"], &variables(&[("APP__NAMES", "[\"a\", \"b\"]")])).expect("valid");
        assert_eq!(lists.names, ["a", "b"]);
        assert!(load::<Lists>(&["names = []"], &variables(&[("APP__NAMES", "[broken")])).is_err());
    }

    #[test]
    fn a_secret_may_come_from_a_file_and_is_never_shown() {
        let missing = variables(&[("APP__HTTP__SECRET_FILE", "does-not-exist")]);
        let error = load::<Sample>(&[DEFAULTS], &missing).expect_err("missing file");
        assert!(error.to_string().contains("APP__HTTP__SECRET_FILE"), "{error}");
        let sample: Sample = load(&[DEFAULTS], &variables(&[("APP__HTTP__SECRET", "hunter2")])).expect("valid");
        assert_eq!(sample.http.secret.expose(), "hunter2");
        assert!(!format!("{sample:?}").contains("hunter2"));
        assert_eq!(serde_json::to_string(&sample.http.secret).expect("serializes"), "\"***\"");
    }
}
