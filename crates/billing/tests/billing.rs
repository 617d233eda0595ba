//! The module alone, through its router and its jobs, with a real database and a stand-in for Stripe on a real socket.

#[path = "billing/catalogue.rs"]
mod catalogue;
#[path = "billing/checkouts.rs"]
mod checkouts;
#[path = "billing/closings.rs"]
mod closings;
#[path = "billing/gate.rs"]
mod gate;
#[path = "billing/house.rs"]
mod house;
#[path = "billing/meter.rs"]
mod meter;
#[path = "billing/provider_events.rs"]
mod provider_events;
#[path = "billing/standing.rs"]
mod standing;
#[path = "billing/strange_server.rs"]
mod strange_server;
#[path = "billing/stripe.rs"]
mod stripe;
#[path = "billing/troubles.rs"]
mod troubles;
#[path = "billing/twins.rs"]
mod twins;
