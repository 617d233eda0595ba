//! Case 40: which passwords are taken, and that they are taken as they are.

use serde_json::json;

use super::asking::{count, is_problem, mailed_token, post, problem, try_log_in, try_register};
use crate::home::{Home, send};

/// So many code points that repeat nothing and follow no order.
fn password_of(length: usize, alphabet: [char; 7]) -> String {
    (0..length).map(|at| alphabet[(at * at + at / 7) % 7]).collect()
}

const LETTERS: [char; 7] = ['k', 'w', 'b', 'z', 'e', 'q', 't'];
const EMOJI: [char; 7] = ['🦊', '🚀', '🌊', '🍋', '🎻', '🧭', '🪁'];

/// Signs up, verifies and logs in with exactly this password.
async fn is_taken(home: &Home, email: &str, password: &str) {
    send(try_register(home, email, password)).await.expect(202);
    home.work().await;
    let token = json!({ "token": mailed_token(home, email) });
    send(post(home, "/v1/auth/verify-email", &token)).await.expect(204);
    send(try_log_in(home, email, password)).await.expect(200);
}

#[tokio::test]
async fn case_40_passwords_are_judged_by_their_length_in_code_points() {
    let home = Home::open().await;
    for length in [1, 11, 129] {
        let refused = send(try_register(&home, "ada@example.com", &password_of(length, LETTERS))).await;
        let (status, code, fields) = refused.problem();
        assert_eq!((status, code.as_str()), (422, "invalid_request"), "{length}");
        assert_eq!(fields[0].0, "password", "{length}");
        assert!(!refused.text.contains(&password_of(length, LETTERS)) || length == 1, "{}", refused.text);
    }
    is_taken(&home, "twelve@example.com", &password_of(12, LETTERS)).await;
    is_taken(&home, "longest@example.com", &password_of(128, LETTERS)).await;
    is_taken(&home, "emoji@example.com", &password_of(128, EMOJI)).await;
    let eleven = try_register(&home, "few@example.com", &password_of(11, EMOJI));
    is_problem(&problem(eleven).await, 422, "invalid_request");
    let huge = try_register(&home, "huge@example.com", &"x".repeat(1024 * 1024));
    is_problem(&problem(huge).await, 413, "body_too_large");
}

#[tokio::test]
async fn case_40_b_nothing_is_trimmed_cut_or_folded() {
    let home = Home::open().await;
    let (email, password) = ("ada@example.com", "  Caf\u{e9} by  the sea \u{3000}");
    is_taken(&home, email, password).await;
    for other in [
        password.trim().to_owned(),
        password.trim_start().to_owned(),
        password.to_lowercase(),
        password.replace('\u{e9}', "e\u{301}"),
        password.replace("  the", " the"),
        format!("{password} "),
    ] {
        is_problem(&problem(try_log_in(&home, email, &other)).await, 401, "invalid_credentials");
    }
    // Neither does only the beginning of a long one count.
    let long = password_of(128, LETTERS);
    is_taken(&home, "bob@example.com", &long).await;
    for cut in [72, 127] {
        is_problem(&problem(try_log_in(&home, "bob@example.com", &long[..cut])).await, 401, "invalid_credentials");
    }
}

#[tokio::test]
async fn case_40_c_what_everybody_would_guess_is_refused_by_name() {
    let home = Home::open().await;
    for (password, code) in [
        ("passwordpassword", "common_password"),
        ("aaaaaaaaaaaaaaaa", "common_password"),
        ("my lovelace secret", "contains_email"),
    ] {
        let (status, _, fields) = send(try_register(&home, "lovelace@example.com", password)).await.problem();
        assert_eq!((status, fields), (422, vec![("password".to_owned(), code.to_owned())]), "{password}");
    }
    home.work().await;
    assert!(home.house.mailbox.list().is_empty());
}

#[tokio::test]
async fn nobody_has_an_account_before_somebody_signs_up() {
    let home = Home::open().await;
    assert_eq!(count(&home, "SELECT count(*) FROM users.accounts").await, 0);
    for email in ["admin@example.com", "root@localhost.example", "test@example.com"] {
        is_problem(&problem(try_log_in(&home, email, "passwordpassword")).await, 401, "invalid_credentials");
    }
}
