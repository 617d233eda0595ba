//! What is sent. The same wish is always the same bytes: Stripe refuses a key that comes back with other parameters.

use form_urlencoded::Serializer;

use crate::ports::{CheckoutWish, Contact, NewCustomer, OperationId};

/// A customer, with our name for it.
pub(super) fn customer(customer: &NewCustomer) -> String {
    encode(&[
        ("name", &customer.contact.name),
        ("email", &customer.contact.email),
        ("metadata[organization_id]", &customer.organization.to_string()),
    ])
}

/// To whom a customer's invoices go.
pub(super) fn contact(contact: &Contact) -> String {
    encode(&[("name", &contact.name), ("email", &contact.email)])
}

/// A page that sells one price. Page and subscription both name the organization, for events that come before we know
/// their ids.
pub(super) fn checkout(operation: OperationId, wish: &CheckoutWish) -> String {
    let organization = wish.organization.to_string();
    encode(&[
        ("mode", "subscription"),
        ("customer", &wish.customer),
        ("client_reference_id", &organization),
        ("line_items[0][price]", &wish.price),
        ("line_items[0][quantity]", &wish.quantity.to_string()),
        ("success_url", &wish.success_url),
        ("cancel_url", &wish.cancel_url),
        ("metadata[organization_id]", &organization),
        ("metadata[operation_id]", &operation.to_string()),
        ("subscription_data[metadata][organization_id]", &organization),
    ])
}

fn encode(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}
