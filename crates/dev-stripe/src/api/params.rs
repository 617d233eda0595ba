//! Form parameters with brackets: `metadata[org]=…`, `items[0][price]=…`, `expand[]=…`.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::error::ApiError;

/// Deeper than any parameter of Stripe's.
const DEEPEST: usize = 8;

/// The parameters of a call: texts, groups and lists. Names are in Stripe's notation, `items[0][price]`.
pub(crate) struct Params(Value);

impl Params {
    pub(crate) fn read<'a>(pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Result<Self, ApiError> {
        let mut root = Value::Object(Map::new());
        for (name, value) in pairs {
            let path = pieces(&name).filter(|path| path.len() <= DEEPEST);
            let path = path.ok_or_else(|| ApiError::bad(&name, format!("Invalid parameter name: {name}")))?;
            let mut place = &mut root;
            for piece in path {
                // A text where a group is needed: the later parameter wins, as in most parsers of such forms.
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                let Value::Object(group) = place else { unreachable!("made one above") };
                let piece = if piece.is_empty() { group.len().to_string() } else { piece.to_owned() };
                place = group.entry(piece).or_insert(Value::Null);
            }
            *place = Value::String(value.into_owned());
        }
        Ok(Self(root))
    }

    /// The same text for the same parameters, in whatever order they came.
    pub(crate) fn canonical(&self) -> String {
        self.0.to_string()
    }

    fn at(&self, name: &str) -> Option<&Value> {
        pieces(name)?.into_iter().try_fold(&self.0, |place, piece| place.get(piece))
    }

    /// Whether the parameter was sent at all, perhaps empty.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.at(name).is_some()
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.at(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// A text that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name).ok_or_else(|| ApiError::missing(name))
    }

    /// A whole number.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let parse = |text: &str| {
            let refused = |_| ApiError::coded("parameter_invalid_integer", name, format!("Invalid integer: {text}"));
            text.parse().map_err(refused)
        };
        self.text(name).map(parse).transpose()
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let parse = |text: &str| text.parse().map_err(|_| ApiError::bad(name, format!("Invalid boolean: {text}")));
        self.text(name).map(parse).transpose()
    }

    /// The entries of a list, or of a group: their names and values.
    pub(crate) fn entries(&self, name: &str) -> Vec<(&str, &Value)> {
        let group = self.at(name).and_then(Value::as_object);
        let mut entries: Vec<_> = group.into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect();
        entries.sort_by_key(|(name, _)| name.parse::<u32>().unwrap_or(u32::MAX));
        entries
    }

    /// The texts of a list.
    pub(crate) fn texts(&self, name: &str) -> Vec<&str> {
        self.entries(name).into_iter().filter_map(|(_, value)| value.as_str()).collect()
    }

    /// Metadata, within Stripe's limits; an empty value removes its name.
    pub(crate) fn metadata(&self, name: &str) -> Result<Map<String, Value>, ApiError> {
        let entries = self.entries(name);
        if entries.len() > 50 {
            return Err(ApiError::bad(name, "Metadata can have up to 50 keys."));
        }
        for (key, value) in &entries {
            let Some(text) = value.as_str() else {
                return Err(ApiError::bad(name, "Metadata values must be texts."));
            };
            if key.chars().count() > 40 || text.chars().count() > 500 {
                let limits = "Metadata keys have up to 40 characters and values up to 500.";
                return Err(ApiError::bad(&format!("{name}[{key}]"), limits));
            }
        }
        Ok(entries.into_iter().map(|(key, value)| (key.to_owned(), value.clone())).collect())
    }

    /// Refuses parameters that the stand-in has never heard of, as Stripe does.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        let given = self.0.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        match given.into_iter().find(|name| *name != "expand" && !known.contains(name)) {
            Some(name) => {
                Err(ApiError::coded("parameter_unknown", name, format!("Received unknown parameter: {name}")))
            }
            None => Ok(()),
        }
    }
}

/// `items[0][price]` → items, 0, price.
fn pieces(name: &str) -> Option<Vec<&str>> {
    let Some((head, rest)) = name.split_once('[') else {
        return (!name.is_empty()).then(|| vec![name]);
    };
    let rest = rest.strip_suffix(']').filter(|_| !head.is_empty())?;
    let mut pieces = vec![head];
    pieces.extend(rest.split("]["));
    pieces.iter().all(|piece| !piece.contains(['[', ']'])).then_some(pieces)
}

/// Adds metadata to what an object has: an empty value removes.
pub(crate) fn merge_metadata(old: &Value, new: Map<String, Value>) -> Value {
    let mut merged = old.as_object().cloned().unwrap_or_default();
    for (key, value) in new {
        if value.as_str() == Some("") {
            merged.remove(&key);
        } else {
            merged.insert(key, value);
        }
    }
    Value::Object(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &str) -> Result<Params, ApiError> {
        Params::read(form_urlencoded::parse(form.as_bytes()))
    }

    #[test]
    fn brackets_become_groups_and_lists() {
        let params = read("a=1&items[0][price]=p&items[0][quantity]=3&m[k]=v&expand[]=x&expand[]=y").unwrap();
        assert_eq!(params.text("items[0][price]"), Some("p"));
        assert_eq!(params.integer("items[0][quantity]").unwrap(), Some(3));
        assert_eq!(params.texts("expand"), ["x", "y"]);
        assert_eq!(params.metadata("m").unwrap()["k"], "v");
        assert!(params.only(&["a", "items", "m"]).is_ok() && params.only(&["a", "m"]).is_err());
    }

    #[test]
    fn malformed_names_are_refused() {
        for name in ["[a]=1", "a[b=1", "a[b]c=1", "=1", "a[b[c]]=1", "a[0][0][0][0][0][0][0][0][0]=1"] {
            assert!(read(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_order_of_parameters_does_not_matter() {
        assert_eq!(read("a=1&b[c]=2").unwrap().canonical(), read("b[c]=2&a=1").unwrap().canonical());
    }
}
