//! Everything the stand-in knows: objects in Stripe's own JSON, by id and in the order they were made.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

/// Objects of every kind. They are kept in the newest shape; older ones are made when they are shown.
#[derive(Default)]
pub(crate) struct Objects {
    all: HashMap<String, Value>,
    order: Vec<String>,
}

impl Objects {
    /// Keeps a new object under its id.
    pub(crate) fn insert(&mut self, object: Value) -> String {
        let id = text(&object, "/id").to_owned();
        self.order.push(id.clone());
        self.all.insert(id.clone(), object);
        id
    }

    /// One object of whatever kind.
    pub(crate) fn get(&self, id: &str) -> Option<&Value> {
        self.all.get(id)
    }

    /// One object of a kind, `customer` for instance.
    pub(crate) fn of(&self, kind: &str, id: &str) -> Option<&Value> {
        self.get(id).filter(|object| text(object, "/object") == kind)
    }

    /// A copy of an object that is known to exist, null otherwise.
    pub(crate) fn copy(&self, id: &str) -> Value {
        self.get(id).cloned().unwrap_or_default()
    }

    /// Puts a changed object in the place of the one with its id.
    pub(crate) fn replace(&mut self, object: Value) {
        self.all.insert(text(&object, "/id").to_owned(), object);
    }

    /// Changes one field, named by a JSON pointer to something that exists.
    pub(crate) fn set(&mut self, id: &str, pointer: &str, value: impl Into<Value>) {
        if let Some(field) = self.all.get_mut(id).and_then(|object| object.pointer_mut(pointer)) {
            *field = value.into();
        }
    }

    /// The objects of a kind, newest first.
    pub(crate) fn list<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        let newest_first = self.order.iter().rev().filter_map(|id| self.all.get(id));
        newest_first.filter(move |object| text(object, "/object") == kind)
    }
}

/// A new id with one of Stripe's prefixes.
pub(crate) fn new_id(prefix: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the ids of a stranger are not ours to order")]
    let random = Uuid::new_v4().simple().to_string();
    format!("{prefix}_{}", &random[..24])
}

/// A text in an object, empty when there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A number in an object, 0 when there is none.
pub(crate) fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// A list as Stripe nests them.
pub(crate) fn nested_list(data: &[Value], url: &str) -> Value {
    json!({ "object": "list", "total_count": data.len(), "data": data, "has_more": false, "url": url })
}
