//! Words in identifiers and prose.

/// The words of a text in lower case: parts of `snake_case` and `CamelCase` names count one by one.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in text.chars() {
        let hump = letter.is_uppercase() && !before.is_uppercase();
        if !letter.is_alphanumeric() || hump {
            words.push(String::new());
        }
        if letter.is_alphanumeric() {
            words.last_mut().expect("never empty").extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether the words of `name` stand in `text` one after the other.
pub(crate) fn says(text: &[String], name: &[String]) -> bool {
    !name.is_empty() && text.windows(name.len()).any(|some| some == name)
}

/// The places where `name` stands in `text` as a whole identifier, not as a part of a longer one.
pub(crate) fn places<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let inner = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(name).map(|(at, _)| at).filter(move |at| {
        let before = text[..*at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(|letter| inner(letter) || letter == '.') && !after.is_some_and(inner)
    })
}

/// Whether `name` stands in `text` as a whole identifier.
pub(crate) fn names(text: &str, name: &str) -> bool {
    places(text, name).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_humps_and_underscores() {
        assert_eq!(
            words("WebhookDelivery list_orders: it's HTTP"),
            ["webhook", "delivery", "list", "orders", "it", "s", "http"]
        );
    }

    #[test]
    fn a_name_inside_a_longer_name_does_not_count() {
        assert!(names("FROM shop.orders WHERE", "shop.orders"));
        assert!(!names("FROM shop.orders_archive", "shop.orders"));
        assert!(!names("FROM workshop.orders", "shop.orders"));
    }
}
