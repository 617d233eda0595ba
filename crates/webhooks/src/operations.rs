//! Operations: what the people on call see and do, across organizations. The commands of the binary call it; no route leads
//! here.

mod deliveries;
mod receipts;
mod store;

pub use deliveries::{AttemptEntry, DeliveryEntry, DeliveryFilter};
pub use receipts::{ReceiptEntry, ReceiptFilter};
