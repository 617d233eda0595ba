//! Commands that cannot do what they are asked.

use std::process::Command;

#[tokio::test]
async fn commands_that_cannot_start_say_why_and_what_to_do() {
    let refused = |command: &str, variables: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_server-under-test"))
            .arg(command)
            .env_remove("DATABASE_URL")
            .envs(variables.iter().copied())
            .output()
            .expect("it runs");
        assert!(!output.status.success(), "{command} {variables:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let production = ("APP_ENVIRONMENT", "production");
    let message = refused("serve", &[production]);
    for key in ["database.url", "secrets.", "service.public_url", "mail.smtp_url"] {
        assert!(message.contains(key), "{key}: {message}");
    }
    let placeholder = ("APP__SECRETS__ROOTS__1", "development-only-root-secret-that-production-refuses");
    assert!(refused("serve", &[production, placeholder]).contains("secrets.roots.1 is a placeholder"));
    for command in ["dev", "serve"] {
        assert!(refused(command, &[("APP__HTTP__ADDRESS", "0.0.0.0:0")]).contains("http.address"), "{command}");
    }
    assert!(refused("dev", &[("DATABASE_URL", "postgres://db.example/app")]).contains("db.example"));
    let misplaced = refused("serve", &[("APP__DATABASE", "postgres://user:hunter2@db.example/app")]);
    assert!(misplaced.contains("database") && !misplaced.contains("hunter2"), "{misplaced}");
    assert!(refused("serve", &[("APP__HTTP__ADRESS", "x")]).contains("adress"));
    assert!(refused("serve", &[("APP_ENVIRONMENT", "staging")]).contains("APP_ENVIRONMENT"));
}
