use std::time::Duration;

use super::growth::Case;
use super::incoming::Incoming;
use super::isolation::Nine;
use super::overdriven::Story;
use super::{CONNECTIONS, Latency, Round};
use crate::bench::Effort;
use crate::bench::figures::{
    hundredths, mebibytes, microseconds, middle, milliseconds, nanoseconds, ratio, share, thousands,
};
use crate::bench::page::Page;
use crate::bench::plot;
use crate::database::ScratchDatabase;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// What another product delivered on the machine of the first measurements with one and with ten endpoints, as the goals say.
const SVIX: [(&str, u64, u64); 2] = [("1 endpoint", 880, 300), ("10 endpoints", 2_882, 200)];

/// The worker's memory under a million deliveries that wait.
const MEMORY_GOAL: u64 = 100 * 1024;

/// The page about webhooks.
pub(super) struct Report {
    page: Page,
    bars: Vec<(String, u64)>,
}

impl Report {
    pub(super) fn begin(database: &ScratchDatabase, effort: Effort) -> Result<Self, Failure> {
        let method = format!(
            "The service is the release build, as `serve` and `work`, each a process of its own, with its log as JSON written to\n\
             the null device. Messages are signed, every attempt goes on record, and all of it is isolated by endpoint. The\n\
             floor (`xtask/src/bench/floor.rs`) is the least that sends webhooks from PostgreSQL: a message and a row for each\n\
             receiver in one transaction; a process that deletes 50 rows at a time with `SKIP LOCKED` in each of four loops,\n\
             posts them with the same HTTP client, and commits. It keeps no record, signs nothing, tries nothing again.\n\n\
             \"Accepted\" is a committed transaction that announces an event with a webhook topic, over {CONNECTIONS}\n\
             connections: `BEGIN`, the one statement by which the service announces an event, `COMMIT`. For the floor it is\n\
             `BEGIN`, the message with its rows in one statement, `COMMIT`. No more is accepted than can be delivered: from\n\
             2 000 deliveries on their way on, those that accept wait. CPU counts the process that delivers and PostgreSQL,\n\
             whose part includes accepting. The receivers answer 200 at once.\n"
        );
        let page = Page::begin("webhooks", "Webhooks beside the least that sends any", &method, database, effort)?;
        Ok(Self { page, bars: Vec::new() })
    }

    pub(super) fn begin_outgoing(&mut self) {
        self.page.section("Outgoing, at full speed", "As much is accepted as can be delivered.");
        self.page.table(&[
            "what",
            "accepted/s",
            "accepted p99 ms",
            "delivered/s",
            "CPU µs per delivery: deliverer",
            "PostgreSQL",
            "MiB",
        ]);
    }

    pub(super) fn outgoing(&mut self, name: &str, ours: &[Round], floor: &[Round]) {
        for (who, rounds) in [("ours", ours), ("floor", floor)] {
            self.rounds(&format!("{who}: {name}"), rounds);
            self.bars.push((format!("{who}: {name}"), middle(rounds, |round| round.delivered)));
        }
        let delivered = ratio(ours, floor, |round| round.delivered);
        self.page.at_least(&format!("{name}: delivered/s, of the floor"), 60, delivered);
        if let Some((_, theirs, goal)) = SVIX.into_iter().find(|(known, ..)| *known == name) {
            let measured = share(middle(ours, |round| round.delivered), theirs);
            self.page.at_least(
                &format!("{name}: delivered/s, of Svix with Redis ({})", thousands(theirs)),
                goal,
                measured,
            );
        }
    }

    pub(super) fn outgoing_by_requests(&mut self, name: &str, rounds: &[Round]) {
        self.rounds(&format!("ours: {name}, accepted by `PATCH` of one organization"), rounds);
    }

    fn rounds(&mut self, name: &str, rounds: &[Round]) {
        self.page.row(&[
            name.to_owned(),
            thousands(middle(rounds, |round| round.accepted)),
            milliseconds(middle(rounds, |round| round.accepted_p99)),
            thousands(middle(rounds, |round| round.delivered)),
            microseconds(middle(rounds, |round| round.deliverer)),
            microseconds(middle(rounds, |round| round.postgres)),
            mebibytes(middle(rounds, |round| round.kibibytes)),
        ]);
    }

    pub(super) fn latencies(&mut self, all: &[(String, [Vec<Latency>; 2])]) {
        let bars = plot::bars("Deliveries a second", &self.bars);
        self.page.plot("outgoing", "Deliveries a second", bars);
        let text = "From the commit, which the program that asks knows by the answer, to the receiver. Ours is accepted by \
                    `PATCH /v1/organizations/{id}` at the process `serve` and delivered by the process `work`.";
        self.page.section("Outgoing, at a fixed rate", text);
        self.page.table(&["what", "p50 ms", "p99 ms"]);
        for (name, [ours, floor]) in all {
            for (who, latencies) in [("ours", ours), ("floor", floor)] {
                let [p50, p99] = [middle(latencies, |latency| latency.p50), middle(latencies, |latency| latency.p99)];
                self.page.row(&[format!("{who}: {name}"), milliseconds(p50), milliseconds(p99)]);
                if who == "ours" {
                    self.time(&format!("{name}: commit to receiver, p50"), 8, p50);
                    self.time(&format!("{name}: commit to receiver, p99"), 20, p99);
                }
            }
        }
    }

    /// A time in nanoseconds that should not be longer than so many milliseconds.
    fn time(&mut self, what: &str, goal: u64, measured: u64) {
        let limit = nanoseconds(Duration::from_millis(goal));
        let texts = (&*format!("≤ {goal} ms"), &*format!("{} ms", milliseconds(measured)));
        self.page.goal(what, texts, measured <= limit);
    }

    pub(super) fn isolation(&mut self, all: &[Nine; 3]) {
        let text = "One of ten endpoints of an organization never answers, or always says 500. Shown are the other nine: at full \
                    speed, and at 50 messages a second.";
        self.page.section("One that misbehaves", text);
        self.page.table(&["the tenth is", "delivered/s to the nine", "p50 ms", "p99 ms"]);
        for nine in all {
            self.page.row(&[
                format!("{:?}", nine.manner).to_lowercase(),
                thousands(middle(&nine.rounds, |round| round.delivered)),
                milliseconds(middle(&nine.latencies, |latency| latency.p50)),
                milliseconds(middle(&nine.latencies, |latency| latency.p99)),
            ]);
        }
        let [well, disturbed @ ..] = all;
        for nine in disturbed {
            let name = format!("{:?}", nine.manner).to_lowercase();
            let rate = ratio(&nine.rounds, &well.rounds, |round| round.delivered);
            self.page.at_least(&format!("one of ten is {name}: rate of the nine"), 90, rate);
            let slow = ratio(&nine.latencies, &well.latencies, |latency| latency.p99);
            self.page.at_most(&format!("one of ten is {name}: p99 of the nine"), 200, slow);
        }
    }

    pub(super) fn overdriven(&mut self, ours: &Story, floor: &Story) {
        let text = "For a while as many messages as possible are accepted for one endpoint, however many wait; then none. The lag \
                    is the age of what arrives.";
        self.page.section("Overdriven", text);
        self.page.table(&[
            "what",
            "accepted/s",
            "accepted p99 ms",
            "delivered/s meanwhile",
            "backlog at the end",
            "delivered/s afterwards",
            "peak MiB",
        ]);
        for (who, story) in [("ours", ours), ("floor", floor)] {
            self.page.row(&[
                who.to_owned(),
                thousands(story.accepted),
                milliseconds(nanoseconds(story.accepted_p99)),
                thousands(story.delivered),
                thousands(story.backlog),
                thousands(story.drained),
                mebibytes(story.peak_kibibytes),
            ]);
        }
        let backlogs = plot::lines("Deliveries that wait", &[("ours", ours.backlogs()), ("floor", floor.backlogs())]);
        self.page.plot("backlog", "Deliveries that wait, over the time", backlogs);
        let lags = plot::lines("Lag in milliseconds", &[("ours", ours.lags()), ("floor", floor.lags())]);
        self.page.plot("lag", "Lag in milliseconds, over the time", lags);
    }

    pub(super) fn incoming(&mut self, incoming: &Incoming) {
        let text = format!(
            "`POST /v1/inbound/stripe` with signed events of 0.8 KB over {CONNECTIONS} connections: verified, stored and enqueued \
             before the answer. In the last row the process `work` handles them at the same time, on the same processor."
        );
        self.page.section("Incoming", &text);
        self.page.table(&["what", "per second", "p50 ms", "p99 ms", "service CPU µs", "PostgreSQL CPU µs"]);
        let at_rate = format!("acknowledged at {}/s", thousands(incoming.rate));
        let handled = format!("{at_rate}, and handled at the same time");
        let all = [("acknowledged", &incoming.ours), (&*at_rate, &incoming.at_rate), (&handled, &incoming.handled)];
        for (name, rounds) in all {
            self.page.row(&[
                name.to_owned(),
                thousands(middle(rounds, |round| round.per_second)),
                milliseconds(middle(rounds, |round| round.p50)),
                milliseconds(middle(rounds, |round| round.p99)),
                microseconds(middle(rounds, |round| round.service)),
                microseconds(middle(rounds, |round| round.postgres)),
            ]);
        }
        let bare = thousands(middle(&incoming.bare, |rate| *rate));
        self.page.row(&[
            "pgbench: one row of that size inserted".to_owned(),
            bare,
            String::new(),
            String::new(),
            String::new(),
            String::new(),
        ]);
        let rates: Vec<u64> = incoming.ours.iter().map(|round| round.per_second).collect();
        self.page.at_least(
            "incoming: acknowledged/s, of pgbench's inserts",
            60,
            ratio(&rates, &incoming.bare, |rate| *rate),
        );
        let slow = middle(&incoming.at_rate, |round| round.p99);
        self.time("incoming at half of that: p99", 20, slow);
    }

    pub(super) fn growth(&mut self, cases: &[Case], [small, grown]: [&[Round]; 2]) {
        let text = "Deliveries wait for endpoints that nobody has looked at yet; then they are worked on. A thousand waiting \
                    deliveries are over in a moment, so that case is measured five times.";
        self.page.section("Much that waits", text);
        self.page.table(&["waiting", "endpoints", "delivered/s", "cost of one, of the small case", "peak MiB"]);
        let least = cases.first().map_or(1, |case| case.delivered);
        let mut worst = 0;
        for case in cases {
            let cost = share(least, case.delivered);
            worst = worst.max(cost);
            self.page.row(&[
                thousands(case.waiting),
                thousands(case.endpoints),
                thousands(case.delivered),
                hundredths(cost),
                mebibytes(case.peak_kibibytes),
            ]);
        }
        self.page.at_most("cost of a delivery, whatever waits for however many endpoints", 150, worst);
        let peak = cases.iter().map(|case| case.peak_kibibytes).max().unwrap_or_default();
        let texts = ("< 100 MiB", &*format!("{} MiB", mebibytes(peak)));
        self.page.goal("worker's memory under a million waiting deliveries", texts, peak < MEMORY_GOAL);
        let text = "Ten endpoints of one organization at full speed: in an empty database, and beside 990 other endpoints, a million \
                    finished deliveries and a hundred thousand organizations.";
        self.page.section("Much that is done", text);
        self.page.table(&[
            "what",
            "accepted/s",
            "accepted p99 ms",
            "delivered/s",
            "CPU µs per delivery: deliverer",
            "PostgreSQL",
            "MiB",
        ]);
        self.rounds("empty", small);
        self.rounds("grown", grown);
        let cost = ratio(grown, small, |round| round.deliverer + round.postgres);
        self.page.at_most("CPU of a delivery, grown of empty", 120, cost);
    }

    pub(super) fn show(&self) {
        self.page.show();
    }

    pub(super) fn finish(self, workspace: &Workspace) -> Result<(), Failure> {
        self.page.finish(workspace)
    }
}
