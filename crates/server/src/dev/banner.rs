//! What a developer reads first.

use std::path::Path;
use std::time::Instant;

use dev_postgres::Cluster;

use super::seed::{ACCOUNT, Account, PayingOrganization};
use crate::process::Running;
use crate::{Config, cli};

/// Everything worth telling about a development service that runs.
pub(super) struct Banner<'a> {
    pub(super) config: &'a Config,
    pub(super) running: &'a Running,
    pub(super) cluster: Option<&'a Cluster>,
    /// Where the stand-in for the payment provider answers, if it runs.
    pub(super) payments: Option<&'a str>,
    pub(super) paying: Option<PayingOrganization>,
}

impl Banner<'_> {
    pub(super) fn print(&self, began: Instant) {
        let name = &self.config.service.name;
        let seconds = format!("{}.{:02}", began.elapsed().as_secs(), began.elapsed().subsec_millis() / 10);
        let (facts, attempts) = (self.facts(), self.attempts());
        cli::say(&format!("\n{name} is ready after {seconds} s. Ctrl-C ends it.\n\n{facts}\nTry it:\n\n{attempts}"));
    }

    fn api(&self) -> String {
        self.running.public.map(|address| format!("http://{address}")).unwrap_or_default()
    }

    fn facts(&self) -> String {
        let (api, operations) = (self.api(), self.running.operations);
        let Account { email, password, .. } = ACCOUNT;
        let database = match self.cluster {
            Some(cluster) => {
                format!("built-in PostgreSQL on port {}, data in {}", cluster.port(), shown(cluster.directory()))
            }
            None => "as configured".to_owned(),
        };
        let payments = match self.payments {
            Some(url) => format!("a stand-in for Stripe at {url}; {url}/_control shows and steers it"),
            None => format!("as configured, at {}", self.config.billing.stripe.api_url),
        };
        let customer = self
            .paying
            .as_ref()
            .map(|PayingOrganization { id, name, plan }| ("Customer", format!("{name} ({id}), on the plan {plan}")));
        let facts = [
            ("API", format!("{api}/v1")),
            ("Docs", format!("{api}/docs")),
            ("Mail", format!("{api}/dev/mail")),
            ("Payments", payments),
            ("Metrics", format!("http://{operations}/metrics")),
            ("Database", database),
            ("Account", format!("{email}, password {password}")),
        ];
        let lines = facts.into_iter().chain(customer).map(|(what, fact)| format!("  {what:<9} {fact}\n"));
        lines.collect::<Vec<_>>().concat()
    }

    fn attempts(&self) -> String {
        let api = self.api();
        let Account { email, password, .. } = ACCOUNT;
        let entitlements = self.paying.as_ref().map(|PayingOrganization { id, .. }| {
            let url = format!("{api}/v1/organizations/{id}/entitlements");
            format!("  curl -s -w '\\n' {url} -H \"authorization: Bearer $TOKEN\"\n")
        });
        let entitlements = entitlements.unwrap_or_default();
        format!(
            "  curl -s -w '\\n' {api}/v1/plans
  TOKEN=$(curl -s {api}/v1/auth/login -H 'content-type: application/json' -d '{{\"email\":\"{email}\",\"password\":\"{password}\"}}' | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')
  curl -s -w '\\n' {api}/v1/me -H \"authorization: Bearer $TOKEN\"
{entitlements}"
        )
    }
}

/// Without the `..` of the way there.
fn shown(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
}
