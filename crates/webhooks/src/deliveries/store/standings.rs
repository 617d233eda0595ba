//! How deliveries stand that operators want something of. They may be of any organization, so these functions take none.

use platform::caller::OrgId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::deliveries::{DeliveryId, DeliveryStatus};
use crate::endpoints::EndpointId;

/// A delivery, and what decides whether something can be done about it.
pub(in crate::deliveries) struct Standing {
    pub(in crate::deliveries) id: DeliveryId,
    pub(in crate::deliveries) organization: OrgId,
    pub(in crate::deliveries) endpoint: EndpointId,
    pub(in crate::deliveries) status: DeliveryStatus,
    /// Whether the endpoint is enabled; none when it is gone.
    pub(in crate::deliveries) enabled: Option<bool>,
    /// Whether its message is still kept.
    pub(in crate::deliveries) has_message: bool,
    /// Under a lease that holds.
    pub(in crate::deliveries) sending: bool,
}

/// The endpoints that these deliveries are for.
pub(in crate::deliveries) async fn list_endpoints(
    connection: &mut PgConnection,
    deliveries: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!("SELECT DISTINCT endpoint_id FROM webhooks.deliveries WHERE id = ANY ($1)", deliveries)
        .fetch_all(connection)
        .await
}

pub(in crate::deliveries) async fn list(
    connection: &mut PgConnection,
    deliveries: &[Uuid],
) -> Result<Vec<Standing>, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"SELECT delivery.id AS "id!: DeliveryId", delivery.organization_id AS "organization!: OrgId",
                  delivery.endpoint_id AS "endpoint!: EndpointId", delivery.status AS "status!: DeliveryStatus",
                  CASE WHEN endpoint.id IS NOT NULL THEN endpoint.disabled_at IS NULL END AS "enabled?",
                  EXISTS (SELECT FROM webhooks.messages WHERE id = delivery.message_id) AS "has_message!",
                  coalesce(due.leased_until > now(), false) AS "sending!"
           FROM webhooks.deliveries delivery
           LEFT JOIN webhooks.endpoints endpoint ON endpoint.id = delivery.endpoint_id
           LEFT JOIN webhooks.due_deliveries due ON due.delivery_id = delivery.id
           WHERE delivery.id = ANY ($1)"#,
        deliveries,
    )
    .fetch_all(connection)
    .await
}
