//! Retrying and discarding: what is named, or everything that a filter lets through, in batches that are a transaction each.
//! Whoever interrupts it has done the batches before.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use serde::Serialize;
use uuid::Uuid;

use super::say_json;
use super::table::counted;
use crate::check::StartError;
use crate::cli::{say, whisper};

/// How many are done in one transaction.
const BATCH: usize = 500;

/// Without a terminal, progress is told every so many.
const TOLD_EVERY: u64 = 10_000;

/// The most refusals that are told one by one: there may be as many as rows.
const REFUSALS_TOLD: usize = 20;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Retry,
    Discard,
}

impl Deed {
    fn verb(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Discard => "discard",
        }
    }

    fn past(self) -> &'static str {
        match self {
            Self::Retry => "retried",
            Self::Discard => "discarded",
        }
    }
}

/// What operators retry and discard.
pub(super) trait Shelf {
    /// What one of them is called, and several.
    const NAMES: (&'static str, &'static str);
    /// Where to look for the right id.
    const HINT: &'static str;

    /// How many the filter lets through; none where counting takes as long as doing it.
    async fn count(&self) -> Result<Option<u64>, StartError>;

    /// Those with a smaller id than `before` that the filter lets through, the newest first.
    async fn ids(&self, before: Uuid, limit: i64) -> Result<Vec<Uuid>, StartError>;

    /// Does it, and says for each why not, if not.
    async fn carry_out(&self, deed: Deed, ids: &[Uuid]) -> Result<Vec<(Uuid, Option<Refusal>)>, StartError>;
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Missing,
    Because(&'static str),
}

/// What to do it with.
#[derive(Debug, clap::Args)]
pub(crate) struct Selection {
    /// These, by their ids; or give a filter instead
    #[arg(value_name = "ID")]
    ids: Vec<Uuid>,
    /// Everything that the filter lets through, however much that is; without a filter, everything
    #[arg(long)]
    all: bool,
    /// Print the result as a JSON object
    #[arg(long)]
    json: bool,
}

/// The options that say which.
pub(crate) trait Filtering: clap::Args {
    /// Whether one of them was given.
    fn is_given(&self) -> bool;
}

#[derive(Debug, clap::Args)]
pub(crate) struct Retrying<F: clap::Args> {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    pub(super) filter: F,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Discarding<F: clap::Args> {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    pub(super) filter: F,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// The whole wish.
pub(super) struct Wish<'a> {
    deed: Deed,
    selection: &'a Selection,
    /// Whether a filter was given.
    filtered: bool,
    /// Nobody needs to be asked.
    sure: bool,
}

impl<F: Filtering> Retrying<F> {
    pub(super) fn wish(&self) -> Wish<'_> {
        Wish { deed: Deed::Retry, selection: &self.selection, filtered: self.filter.is_given(), sure: true }
    }
}

impl<F: Filtering> Discarding<F> {
    pub(super) fn wish(&self) -> Wish<'_> {
        Wish { deed: Deed::Discard, selection: &self.selection, filtered: self.filter.is_given(), sure: self.yes }
    }
}

/// What came of it; of what was refused only the first are kept.
#[derive(Default, Serialize)]
struct Report {
    done: u64,
    refused_count: u64,
    refused: Vec<Refused>,
}

#[derive(Serialize)]
struct Refused {
    id: Uuid,
    why: String,
}

/// Fulfils a wish. The exit code says whether everything named was done.
pub(super) async fn fulfil<S: Shelf>(shelf: &S, wish: Wish<'_>) -> Result<ExitCode, StartError> {
    let Wish { deed, selection, filtered, sure } = wish;
    let named = !selection.ids.is_empty();
    if named && (filtered || selection.all) {
        return refuse("give ids or a filter, not both".to_owned());
    }
    if !named && !filtered && !selection.all {
        let (_, many) = S::NAMES;
        return refuse(format!("say which {many}: ids, a filter, or --all"));
    }
    let ids = if named || selection.all { selection.ids.clone() } else { shelf.ids(Uuid::max(), 2).await? };
    if !named && ids.len() > 1 {
        let (what, verb) = (amount::<S>(shelf.count().await?), deed.verb());
        return refuse(format!("the filter lets through {what}; add --all to {verb} all of them"));
    }
    let count = if selection.all { shelf.count().await? } else { Some(ids.len() as u64) };
    let asks = deed == Deed::Discard && count != Some(0) && !sure;
    if asks {
        confirm(&amount::<S>(count))?;
    }
    let report = if selection.all {
        do_all(shelf, deed, Extent { count, confirmed: count.filter(|_| asks) }).await?
    } else {
        do_these(shelf, deed, &ids).await?
    };
    Ok(tell::<S>(&report, deed, selection.json))
}

/// How much everything is.
struct Extent {
    /// As counted before; none where counting takes as long as doing it.
    count: Option<u64>,
    /// How much somebody agreed to: what came since is left alone.
    confirmed: Option<u64>,
}

fn amount<S: Shelf>(count: Option<u64>) -> String {
    count.map_or_else(|| format!("several {}", S::NAMES.1), |count| counted(count, S::NAMES))
}

fn refuse(why: String) -> Result<ExitCode, StartError> {
    Err(StartError::Refused(why))
}

/// Nobody discards by accident.
fn confirm(what: &str) -> Result<(), StartError> {
    if !std::io::stdin().is_terminal() {
        return Err(StartError::Refused(format!("discarding {what} cannot be undone; add --yes if that is meant")));
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "Discard {what} for good? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(StartError::Refused("nothing was discarded".to_owned())),
    }
}

async fn do_these<S: Shelf>(shelf: &S, deed: Deed, ids: &[Uuid]) -> Result<Report, StartError> {
    let mut report = Report::default();
    for batch in ids.chunks(BATCH) {
        for (id, refusal) in shelf.carry_out(deed, batch).await? {
            report.note::<S>(id, refusal);
        }
    }
    Ok(report)
}

/// From the newest to the oldest, each once: what fails again meanwhile is left alone.
async fn do_all<S: Shelf>(shelf: &S, deed: Deed, extent: Extent) -> Result<Report, StartError> {
    let Extent { count, confirmed } = extent;
    let (mut report, mut before) = (Report::default(), Uuid::max());
    let mut progress = Progress { of: count, told: 0, to_terminal: std::io::stderr().is_terminal() };
    loop {
        let left = confirmed.unwrap_or(u64::MAX).saturating_sub(report.done + report.refused_count);
        let fetch = left.clamp(1, BATCH as u64);
        let batch = shelf.ids(before, i64::try_from(fetch).unwrap_or(i64::MAX)).await?;
        let Some(last) = batch.last() else { break };
        if left == 0 {
            progress.end();
            whisper("there is more than you agreed to, as some came since; it is left alone");
            return Ok(report);
        }
        before = *last;
        for (id, refusal) in shelf.carry_out(deed, &batch).await? {
            // What is gone since it was listed needs nothing any more.
            if refusal != Some(Refusal::Missing) {
                report.note::<S>(id, refusal);
            }
        }
        progress.tell(report.done);
    }
    progress.end();
    Ok(report)
}

impl Report {
    fn note<S: Shelf>(&mut self, id: Uuid, refusal: Option<Refusal>) {
        let why = match refusal {
            None => {
                self.done += 1;
                return;
            }
            Some(Refusal::Missing) => missing::<S>(id),
            Some(Refusal::Because(why)) => why.to_owned(),
        };
        self.refused_count += 1;
        if self.refused.len() < REFUSALS_TOLD {
            self.refused.push(Refused { id, why });
        }
    }
}

/// What is said of an id that leads nowhere.
pub(super) fn missing<S: Shelf>(id: Uuid) -> String {
    format!("there is no {} {id}; {}", S::NAMES.0, S::HINT)
}

fn tell<S: Shelf>(report: &Report, deed: Deed, json: bool) -> ExitCode {
    if json {
        say_json(report);
    } else {
        say(&format!("{} {}", counted(report.done, S::NAMES), deed.past()));
        for Refused { id, why } in &report.refused {
            whisper(&if why.contains(&id.to_string()) { why.clone() } else { format!("{id}: {why}") });
        }
        let more = report.refused_count - report.refused.len() as u64;
        if more > 0 {
            whisper(&format!("… and {more} more"));
        }
    }
    if report.refused_count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says how far a long deed is, on stderr.
struct Progress {
    of: Option<u64>,
    told: u64,
    to_terminal: bool,
}

impl Progress {
    fn tell(&mut self, done: u64) {
        if self.of.is_some_and(|of| of <= BATCH as u64) {
            return;
        }
        let far = self.of.map_or_else(|| done.to_string(), |of| format!("{done} of {of}"));
        if self.to_terminal {
            let mut stderr = std::io::stderr();
            write!(stderr, "\r{far}").and_then(|()| stderr.flush()).ok();
            self.told = done;
        } else if done - self.told >= TOLD_EVERY {
            whisper(&far);
            self.told = done;
        }
    }

    fn end(&self) {
        if self.to_terminal && self.told > 0 {
            whisper("");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// So many things, numbered from 1; one more arrives each time somebody looks.
    struct Growing {
        ids: Mutex<Vec<Uuid>>,
        done: Mutex<Vec<Uuid>>,
        refusal: Option<Refusal>,
    }

    fn id(number: usize) -> Uuid {
        Uuid::from_u128(number as u128)
    }

    impl Growing {
        fn with(number: usize) -> Self {
            Self { ids: Mutex::new((1..=number).map(id).collect()), done: Mutex::default(), refusal: None }
        }

        fn done(&self) -> Vec<Uuid> {
            self.done.lock().expect("no panic").clone()
        }
    }

    impl Shelf for Growing {
        const NAMES: (&'static str, &'static str) = ("thing", "things");
        const HINT: &'static str = "look around";

        async fn count(&self) -> Result<Option<u64>, StartError> {
            Ok(Some(self.ids.lock().expect("no panic").len() as u64))
        }

        async fn ids(&self, before: Uuid, limit: i64) -> Result<Vec<Uuid>, StartError> {
            let mut ids = self.ids.lock().expect("no panic");
            let limit = usize::try_from(limit).expect("a number");
            let listed = ids.iter().rev().filter(|id| **id < before).take(limit).copied().collect();
            let next = id(ids.len() + 1);
            ids.push(next);
            Ok(listed)
        }

        async fn carry_out(&self, _: Deed, ids: &[Uuid]) -> Result<Vec<(Uuid, Option<Refusal>)>, StartError> {
            self.done.lock().expect("no panic").extend(ids);
            Ok(ids.iter().map(|id| (*id, self.refusal)).collect())
        }
    }

    fn wish(selection: &Selection) -> Wish<'_> {
        Wish { deed: Deed::Retry, selection, filtered: true, sure: true }
    }

    #[tokio::test]
    async fn without_all_only_the_one_that_was_found_is_done() {
        let selection = Selection { ids: Vec::new(), all: false, json: true };
        let one = Growing::with(1);
        fulfil(&one, wish(&selection)).await.expect("done");
        assert_eq!(one.done(), [id(1)], "and not what arrived since");
        let two = Growing::with(2);
        let refused = fulfil(&two, wish(&selection)).await.expect_err("too many").to_string();
        assert!(refused.contains("add --all") && two.done().is_empty(), "{refused}");
    }

    #[tokio::test]
    async fn no_more_is_done_than_somebody_agreed_to() {
        let number = BATCH + 3;
        let agreed = Some(number as u64 - 1);
        let things = Growing::with(number);
        let report = do_all(&things, Deed::Discard, Extent { count: agreed, confirmed: agreed }).await.expect("done");
        assert_eq!((Some(report.done), things.done().len()), (agreed, number - 1));
        assert!(!things.done().contains(&id(1)), "the oldest one is left");
        let things = Growing::with(number);
        let unasked = do_all(&things, Deed::Discard, Extent { count: agreed, confirmed: None }).await.expect("done");
        assert_eq!(unasked.done, number as u64);
    }

    #[tokio::test]
    async fn refusals_are_counted_and_only_the_first_are_kept() {
        let things = Growing { refusal: Some(Refusal::Because("no")), ..Growing::with(3 * BATCH) };
        let report = do_all(&things, Deed::Retry, Extent { count: None, confirmed: None }).await.expect("done");
        assert_eq!((report.done, report.refused_count, report.refused.len()), (0, 3 * BATCH as u64, REFUSALS_TOLD));
        assert_eq!(tell::<Growing>(&report, Deed::Retry, true), ExitCode::FAILURE);
    }
}
