//! Replays: what an endpoint would have been told in a period, told once more.
//!
//! A replay is a row with a cursor. Each run of its job begins deliveries of the next messages, moves the cursor and enqueues
//! the next run, all in one transaction: wherever it is killed, no message is skipped and none is sent twice by it.

pub(crate) mod http;
pub(crate) mod store;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use platform::caller::{Member, OrgId};
use platform::db::Tx;
use platform::http::{Answer, Once};
use platform::jobs::{EnqueueOptions, Running, enqueue_with};
use platform::once::Opened;
use uuid::Uuid;

use crate::deliveries::{self, Repetition};
use crate::endpoints::{self, EndpointId, EndpointStatus};
use crate::jobs::{CHANNEL, ContinueReplay};
use crate::messages::MessageId;
use crate::{Error, Webhooks, event_types, policy};

/// How many messages are looked at in one transaction.
const BATCH: i64 = 500;

/// While so many deliveries wait for the endpoint, a replay adds none.
const ENOUGH_WAITING: i64 = 10_000;

/// How long it then leaves the endpoint alone.
const BREATHER: TimeDelta = TimeDelta::seconds(5);

/// A message is committed later than its id was made: within the minute in which the job that records it has to end. Whoever
/// reads sooner, along the ids, never sees it. Half a minute more is for clocks that differ.
const LATE_COMMITS: TimeDelta = TimeDelta::seconds(90);

/// A replay that nothing happened to for so long has lost its job, and another may begin.
const GIVEN_UP_AFTER: TimeDelta = TimeDelta::days(1);

platform::id! {
    /// Names a replay.
    pub struct ReplayId;
}

/// A wish for a replay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewReplay {
    pub(crate) since: DateTime<Utc>,
    /// Now unless said.
    pub(crate) until: Option<DateTime<Utc>>,
}

/// A span of time to the millisecond, as ids know it: its beginning belongs to it, its end does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    since: DateTime<Utc>,
    until: DateTime<Utc>,
}

/// A replay under our lock.
struct Replay {
    endpoint: EndpointId,
    reached: Uuid,
    until: DateTime<Utc>,
    /// The database's time.
    now: DateTime<Utc>,
}

/// A message, as far as a replay has to know it.
struct Candidate {
    id: MessageId,
    event_type: String,
}

/// How far a run came.
enum Progress {
    /// There may be more at once, or from a moment on.
    More(Option<DateTime<Utc>>),
    /// Nothing is left to do, or somebody else will begin again.
    Rest,
}

impl Period {
    /// The period of a wish: in the past, and no longer ago than messages are kept.
    fn of(wish: NewReplay, now: DateTime<Utc>, kept_days: i32) -> Result<Self, Error> {
        let refuse = |field: &'static str, why: String| Err(Error::InvalidPeriod { field, why });
        let since = wish.since.trunc_subsecs(3);
        let until = wish.until.map_or(now, |until| until.min(now)).trunc_subsecs(3);
        if since >= now.trunc_subsecs(3) {
            refuse("since", "must be in the past".to_owned())
        } else if since < now - TimeDelta::days(kept_days.into()) {
            refuse("since", format!("must be within the last {kept_days} days: older messages are gone"))
        } else if until <= since {
            refuse("until", "must be after since".to_owned())
        } else {
            Ok(Self { since, until })
        }
    }
}

impl Replay {
    /// Up to when everything that will ever be there can be seen.
    fn visible_until(&self) -> DateTime<Utc> {
        self.until.min(self.now - LATE_COMMITS)
    }

    /// What follows when nothing more can be seen: the end, unless late messages may still come.
    fn after_the_last(&self) -> Progress {
        if self.visible_until() == self.until {
            Progress::Rest
        } else {
            Progress::More(Some(self.until + LATE_COMMITS))
        }
    }
}

impl Webhooks {
    /// Begins to send an endpoint everything of a period once more, whether it arrived or not.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::EndpointDisabled`], [`Error::InvalidPeriod`],
    /// [`Error::ReplayRunning`], [`Error::Once`].
    pub(crate) async fn start_replay(
        &self,
        member: &Member,
        endpoint: EndpointId,
        wish: Once<NewReplay>,
    ) -> Result<Answer<ReplayId>, Error> {
        let (mut tx, once, wish) = match wish.open(&self.0.db).await? {
            Opened::Replayed(answer) => return Ok(answer),
            Opened::Fresh { tx, once, body } => (tx, once, body),
        };
        let found = endpoints::store::lock(&mut tx, member.org(), endpoint).await?.ok_or(Error::NotFound)?;
        if !policy::may_manage_endpoints(member.role()) {
            return Err(Error::Forbidden);
        }
        if found.status() == EndpointStatus::Disabled {
            return Err(Error::EndpointDisabled);
        }
        // Messages carry the time of their making, which no business clock knows.
        let now = endpoints::store::now(&mut tx).await?;
        let period = Period::of(wish, now, self.0.config.retention_days)?;
        let id = ReplayId::new();
        if !store::insert(&mut tx, member.org(), (id, endpoint), period, GIVEN_UP_AFTER).await? {
            return Err(Error::ReplayRunning);
        }
        enqueue_run(&mut tx, member.org(), id, None).await?;
        let answer = once.settle(&mut tx, id).await?;
        tx.commit().await?;
        Ok(answer)
    }

    /// One run of a replay: the next messages, the cursor, the next run and the end of this one commit together. However many
    /// runs there are at a time, they wait for each other.
    ///
    /// # Errors
    /// To be tried again.
    pub(crate) async fn continue_replay(&self, running: &Running, job: &ContinueReplay) -> Result<(), Error> {
        self.make_room().await?;
        let mut tx = self.0.db.begin().await?;
        let progress = replay_batch(&mut tx, job.organization, job.replay).await?;
        // Before the next run is added: there is one at a time, and that is this one until here.
        running.settle(&mut tx).await?;
        if let Progress::More(run_at) = progress {
            enqueue_run(&mut tx, job.organization, job.replay, run_at).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Goes on with the replay of an endpoint that was disabled meanwhile, if there is one.
pub(crate) async fn resume(tx: &mut Tx, organization: OrgId, endpoint: EndpointId) -> Result<(), sqlx::Error> {
    if let Some(replay) = store::touch_unfinished(tx, organization, endpoint).await? {
        enqueue_run(tx, organization, replay, None).await?;
    }
    Ok(())
}

async fn enqueue_run(
    tx: &mut Tx,
    organization: OrgId,
    replay: ReplayId,
    run_at: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    let options = EnqueueOptions { run_at, unique_key: Some(replay.to_string()), ..EnqueueOptions::default() };
    enqueue_with(tx, &ContinueReplay { organization, replay }, options).await
}

async fn replay_batch(tx: &mut Tx, organization: OrgId, id: ReplayId) -> Result<Progress, Error> {
    // The endpoint first, as everywhere. It may be gone, and its replay with it.
    let Some(endpoint) = store::lock_endpoint(tx, organization, id).await? else { return Ok(Progress::Rest) };
    let Some(replay) = store::lock(tx, organization, id).await? else { return Ok(Progress::Rest) };
    if !endpoint.enabled {
        // Whoever enables it goes on.
        return Ok(Progress::Rest);
    }
    if deliveries::store::count_waiting(tx, organization, replay.endpoint, ENOUGH_WAITING).await? >= ENOUGH_WAITING {
        store::save(tx, organization, id, (replay.reached, 0), false).await?;
        return Ok(Progress::More(Some(replay.now + BREATHER)));
    }
    store::never_sort(tx).await?;
    let seen = store::list_messages(tx, organization, replay.reached, replay.visible_until(), BATCH).await?;
    let is_full = i64::try_from(seen.len()).is_ok_and(|count| count == BATCH);
    let reached = seen.last().map_or(replay.reached, |last| last.id.uuid());
    let repetitions = wanted(seen, &endpoint.event_types);
    begin(tx, organization, replay.endpoint, &repetitions).await?;
    let progress = if is_full { Progress::More(None) } else { replay.after_the_last() };
    let finished = matches!(progress, Progress::Rest);
    let begun = i64::try_from(repetitions.len()).unwrap_or(i64::MAX);
    store::save(tx, organization, id, (reached, begun), finished).await?;
    Ok(progress)
}

/// Those of the messages that the endpoint wants. A test is for the endpoint that was tested and for no other.
fn wanted(seen: Vec<Candidate>, event_types: &[String]) -> Vec<Repetition> {
    let wants = |seen: &Candidate| seen.event_type != event_types::TEST && event_types.contains(&seen.event_type);
    seen.into_iter().filter(wants).map(|seen| Repetition::of(seen.id, seen.event_type)).collect()
}

async fn begin(
    tx: &mut Tx,
    organization: OrgId,
    endpoint: EndpointId,
    repetitions: &[Repetition],
) -> Result<(), sqlx::Error> {
    if !repetitions.is_empty() {
        deliveries::store::insert_repetitions(tx, organization, endpoint, repetitions).await?;
        deliveries::store::draw_attention(tx, &[endpoint]).await?;
        tx.wake(CHANNEL);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEPT_DAYS: i32 = 90;

    fn moment(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis).expect("a moment")
    }

    fn now() -> DateTime<Utc> {
        moment(1_767_225_600_000)
    }

    fn field(wish: NewReplay) -> Option<&'static str> {
        match Period::of(wish, now(), KEPT_DAYS) {
            Ok(_) => None,
            Err(Error::InvalidPeriod { field, .. }) => Some(field),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_period_is_past_and_not_older_than_what_is_kept() {
        let (day, millisecond) = (TimeDelta::days(1), TimeDelta::milliseconds(1));
        let oldest = now() - day * KEPT_DAYS;
        for (since, until, wrong) in [
            (now() - day, None, None),
            (oldest, None, None),
            (oldest - millisecond, None, Some("since")),
            (now() - millisecond, None, None),
            (now(), None, Some("since")),
            (now() + day, Some(now() + day * 2), Some("since")),
            (now() - day, Some(now() + day), None),
            (now() - day, Some(now() - day), Some("until")),
            (now() - day, Some(now() - day * 2), Some("until")),
            (now() - day, Some(now() - day + TimeDelta::microseconds(999)), Some("until")),
        ] {
            assert_eq!(field(NewReplay { since, until }), wrong, "{since} to {until:?}");
        }
    }

    #[test]
    fn the_end_waits_for_late_commits() {
        let replay = |until| Replay { endpoint: EndpointId::new(), reached: Uuid::nil(), until, now: now() };
        let settled = replay(now() - LATE_COMMITS);
        assert_eq!(settled.visible_until(), settled.until);
        assert!(matches!(settled.after_the_last(), Progress::Rest));
        let fresh = replay(now());
        assert_eq!(fresh.visible_until(), now() - LATE_COMMITS);
        assert!(matches!(fresh.after_the_last(), Progress::More(Some(at)) if at == now() + LATE_COMMITS));
    }

    #[test]
    fn only_what_the_endpoint_wants_is_sent_again_and_no_test_ever() {
        let names = ["organization.created", "organization.updated", event_types::TEST];
        let seen = names.map(|name| Candidate { id: MessageId::new(), event_type: name.to_owned() });
        let sent = wanted(seen.into(), &[names[1].to_owned(), names[2].to_owned()]);
        let sent: Vec<&str> = sent.iter().map(|repetition| repetition.event_type.as_str()).collect();
        assert_eq!(sent, ["organization.updated"]);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_a_period_is_past_and_kept(since: i64, until: Option<i64>, apart in 0_i64..8_640_000_000) {
            let wild = |millis: i64| DateTime::from_timestamp_millis(millis % 8_000_000_000_000_000).expect("a moment");
            for since in [wild(since), now() - TimeDelta::milliseconds(apart)] {
                let Ok(period) = Period::of(NewReplay { since, until: until.map(wild) }, now(), KEPT_DAYS) else { continue };
                prop_assert!(period.since < period.until && period.until <= now());
                prop_assert!(period.since >= now() - TimeDelta::days(KEPT_DAYS.into()));
                prop_assert!(period.since <= since && until.is_none_or(|until| period.until <= wild(until)));
            }
        }
    }
}
