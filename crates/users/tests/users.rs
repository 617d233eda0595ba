//! The module alone: its own schema and the platform's, no other module, the clock standing still, the worker stepped by hand.

#[path = "users/accounts.rs"]
mod accounts;
#[path = "users/audit.rs"]
mod audit;
#[path = "users/email_changes.rs"]
mod email_changes;
#[path = "users/erasures.rs"]
mod erasures;
#[path = "users/exports.rs"]
mod exports;
#[path = "users/external_identities.rs"]
mod external_identities;
#[path = "../src/tokens/forge.rs"]
mod forge;
#[path = "users/house.rs"]
mod house;
#[path = "users/invitations.rs"]
mod invitations;
#[path = "users/issuer.rs"]
mod issuer;
#[path = "users/limits.rs"]
mod limits;
#[path = "users/members.rs"]
mod members;
#[path = "users/notices.rs"]
mod notices;
#[path = "users/organizations.rs"]
mod organizations;
#[path = "users/own_sessions.rs"]
mod own_sessions;
#[path = "users/password_changes.rs"]
mod password_changes;
#[path = "users/password_resets.rs"]
mod password_resets;
#[path = "users/people.rs"]
mod people;
#[path = "users/personal_tokens.rs"]
mod personal_tokens;
#[path = "users/registrations.rs"]
mod registrations;
#[path = "users/second_factors.rs"]
mod second_factors;
#[path = "users/sessions.rs"]
mod sessions;
#[path = "users/signing_keys.rs"]
mod signing_keys;
#[path = "users/standing.rs"]
mod standing;
