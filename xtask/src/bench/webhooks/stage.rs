use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::CONNECTIONS;
use crate::bench::floor::{self, Floor};
use crate::bench::generator::Generator;
use crate::bench::sink::{Manner, Sink};
use crate::client::Request;
use crate::database::ScratchDatabase;
use crate::failure::{Failure, io};
use crate::people;
use crate::service::{Program, Service};
use crate::usage;

/// Who is told.
#[derive(Clone, Copy)]
pub(super) struct Crowd {
    pub(super) organizations: u64,
    /// Endpoints of each.
    pub(super) each: u64,
    /// How many messages may be on their way to one endpoint.
    pub(super) in_flight: u64,
}

/// Everything that takes part, running.
pub(super) struct Stage<'a> {
    pub(super) database: &'a ScratchDatabase,
    program: Program,
    pub(super) api: Service,
    worker: Option<Service>,
    floor: Floor,
    pub(super) sink: Sink,
    pub(super) generator: Generator,
    /// The database server's first process.
    pub(super) postgres: u32,
    /// The organization of the person with the number 0.
    pub(super) organization: Uuid,
}

/// Who delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Ours,
    Floor,
}

impl<'a> Stage<'a> {
    pub(super) fn set(program: Program, database: &'a ScratchDatabase) -> Result<Self, Failure> {
        let (_, api) = Service::start(&program)?;
        people::sign_up(&api, database, 1)?;
        let generator = Generator::start(&database.url(), CONNECTIONS)?;
        let sink = Sink::listen(&generator.runtime)?;
        database.run(floor::TABLES)?;
        let organization = found_organization(&api, &sink)?;
        // A key that the service has sealed: others cannot be opened.
        database.run(
            "CREATE SCHEMA bench;
             CREATE TABLE bench.keys AS SELECT sealed FROM webhooks.endpoint_secrets LIMIT 1",
        )?;
        let floor = Floor::start(&database.url())?;
        let postgres = database.server_process()?;
        Ok(Self { database, program, api, worker: None, floor, sink, generator, postgres, organization })
    }

    /// Removes everything that waits or is kept, and makes these endpoints, for both sides; then the worker begins anew.
    pub(super) fn invite(&mut self, crowd: Crowd) -> Result<Vec<Uuid>, Failure> {
        self.rest();
        self.sink.behave(Manner::Well);
        let Crowd { organizations, each, in_flight } = crowd;
        let (organization, address) = (self.organization, self.sink.address);
        self.database.run(&format!(
            "TRUNCATE platform.jobs, webhooks.messages, webhooks.deliveries, webhooks.delivery_attempts,
                      webhooks.due_deliveries, webhooks.endpoints, floor.receivers, floor.messages, floor.due CASCADE;
             INSERT INTO webhooks.endpoints (id, organization_id, url, description, event_types, max_in_flight, version,
                                             created_at, updated_at)
             SELECT gen_random_uuid(),
                    CASE WHEN number < {each} THEN '{organization}'::uuid
                         ELSE md5((number / {each})::text)::uuid END,
                    'http://{address}/' || number, '', ARRAY['organization.updated'], {in_flight}, 1, now(), now()
             FROM generate_series(0, {organizations} * {each} - 1) AS number;
             INSERT INTO webhooks.endpoint_secrets (id, endpoint_id, sealed, created_at)
             SELECT gen_random_uuid(), id, sealed, now() FROM webhooks.endpoints, bench.keys;
             INSERT INTO floor.receivers (id, organization, url)
             SELECT row_number() OVER (ORDER BY id), organization_id, url FROM webhooks.endpoints;"
        ))?;
        self.settle_down()?;
        self.work()?;
        let known = "SELECT string_agg(DISTINCT organization_id::text, ' ') FROM webhooks.endpoints";
        let known = self.database.ask(known)?;
        Ok(known.split(' ').filter_map(|id| id.parse().ok()).collect())
    }

    /// Ends the process that delivers and works on jobs.
    pub(super) fn rest(&mut self) {
        self.worker = None;
    }

    /// Starts it.
    pub(super) fn work(&mut self) -> Result<(), Failure> {
        self.worker = Some(Service::start_working(&self.program)?);
        Ok(())
    }

    /// Does now what PostgreSQL would do at some time during the measurement.
    pub(super) fn settle_down(&self) -> Result<(), Failure> {
        self.database.run("VACUUM ANALYZE")?;
        self.database.run("CHECKPOINT")
    }

    /// The process that delivers.
    pub(super) fn deliverer(&self, side: Side) -> u32 {
        match side {
            Side::Ours => self.worker.as_ref().map_or(0, Service::id),
            Side::Floor => self.floor.id(),
        }
    }

    /// The processor time that the deliverer and PostgreSQL have used so far.
    pub(super) fn used(&self, side: Side) -> Result<[Duration; 2], Failure> {
        let used = usage::cpu_time(self.deliverer(side)).zip(usage::cpu_time_of_family(self.postgres));
        let unknown = || Failure::Finding("processor times are only known on Linux".to_owned());
        used.map(|(deliverer, postgres)| [deliverer, postgres]).ok_or_else(unknown)
    }

    /// Makes the request that renames the organization; the token is good for ten minutes.
    pub(super) fn renaming(&self) -> Result<impl Fn(&str) -> Vec<u8> + Sync + use<>, Failure> {
        let token = people::log_in(&self.api, 0)?;
        let request = Request::new("PATCH", &format!("/v1/organizations/{}", self.organization)).bearer(&token);
        Ok(move |name: &str| request.clone().json(&json!({ "name": name })).bytes())
    }
}

/// An organization with one endpoint.
fn found_organization(api: &Service, sink: &Sink) -> Result<Uuid, Failure> {
    let token = people::log_in(api, 0)?;
    let post = |path: &str, body: &Value| {
        let request = Request::new("POST", path).bearer(&token).header("idempotency-key", "first").json(body).bytes();
        people::connect(api)?.ask(&request).map_err(io("ask for", path.as_ref()))?.expect(201)
    };
    let organization = post("/v1/organizations", &json!({ "name": "Bench" }))?;
    let id = organization["id"].as_str().and_then(|id| id.parse().ok());
    let id: Uuid = id.ok_or_else(|| Failure::Finding("the new organization has no id".to_owned()))?;
    let url = format!("http://{}/0", sink.address);
    let wish = json!({ "url": url, "event_types": ["organization.updated"] });
    post(&format!("/v1/organizations/{id}/webhook-endpoints"), &wish)?;
    Ok(id)
}
