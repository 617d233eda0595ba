//! The module alone: its own schema and the platform's, no other module, the clock standing still, the worker stepped by hand.

#[path = "users/house.rs"]
mod house;
#[path = "users/organizations.rs"]
mod organizations;
#[path = "users/registrations.rs"]
mod registrations;
#[path = "users/sessions.rs"]
mod sessions;
