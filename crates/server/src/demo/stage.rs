//! Everything that runs during a demo: the whole house with its worker, a stand-in for the payment provider, and the customer's
//! own receiver of webhooks, each on a free port.

use platform::clock::Clock;
use platform::shutdown::Shutdown;

use super::receiver::Receiver;
use crate::check::StartError;
use crate::dev::payments;
use crate::process::{Parts, Running};
use crate::{Config, House, Listeners, cli, start};

pub(super) struct Stage {
    /// Where the API answers, without a slash at the end.
    pub(super) api: String,
    /// Where operators look.
    pub(super) operations: String,
    /// The database, for its owner.
    pub(super) database_url: String,
    /// What organizations without a subscription are on.
    pub(super) free_plan: String,
    pub(super) payments: dev_stripe::Running,
    pub(super) receiver: Receiver,
    /// Where the receiver listens.
    pub(super) hook: String,
    running: Running,
    end: Shutdown,
}

impl Stage {
    /// Starts it all on the configured database, which is brought up to date first.
    pub(super) async fn set(mut config: Config) -> Result<Self, StartError> {
        let end = Shutdown::new();
        let listeners = Listeners::bind(&config, true).await?;
        if let Some(public) = &listeners.public {
            config.service.public_url = format!("http://{}", public.local_addr()?);
        }
        let Some(payments) = payments::ensure(&mut config, &listeners).await? else {
            return Err(StartError::Refused("the demo needs a stand-in for the payment provider".to_owned()));
        };
        let house = House::assemble(config.clone(), &Clock::system(), &end)?;
        cli::bring_up_to_date(&house, &config).await?;
        let running = start(&house, &config, listeners, Parts { worker: true, developer: true }, &end)?;
        let (receiver, hook) = Receiver::open(config.http.server.without_grace(), end.clone()).await?;
        Ok(Self {
            api: config.service.public_url,
            operations: format!("http://{}", running.operations),
            database_url: config.database.url.expose().to_owned(),
            free_plan: config.billing.free_plan,
            payments,
            receiver,
            hook,
            running,
            end,
        })
    }

    /// Who plays, and where.
    pub(super) fn programme(&self, database: &str) -> [(&'static str, String); 4] {
        [
            ("API", format!("{}/v1", self.api)),
            ("Payments", format!("{}, a stand-in for Stripe", self.payments.url())),
            ("Receiver", format!("{}, the customer's own system", self.hook)),
            ("Database", format!("{database}, only for this demo")),
        ]
    }

    /// Takes it all down again.
    pub(super) async fn strike(self) {
        self.end.begin();
        self.running.finish().await;
        self.payments.stop().await;
    }
}
