//! What happens in the shop: sales, renewals, changes, cancellations and refunds, each with the events it causes.

pub(crate) mod cancelling;
pub(crate) mod changes;
pub(crate) mod invoices;
pub(crate) mod prices;
pub(crate) mod refunds;
pub(crate) mod renewals;
pub(crate) mod sales;
