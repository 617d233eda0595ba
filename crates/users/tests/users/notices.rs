//! The owners of an organization are told what they must know.

use platform::caller::OrgId;
use platform::jobs::{Job, JobError, Jobs, Running};
use serde::{Deserialize, Serialize};
use users::{Notice, Users};

use crate::people::Team;

/// Something that another module told.
#[derive(Serialize, Deserialize)]
struct Notify {
    organization: OrgId,
    fail_afterwards: bool,
}

impl Job for Notify {
    const NAME: &'static str = "test.notify";
}

pub(crate) fn register(users: &Users, jobs: &mut Jobs) {
    let users = users.clone();
    jobs.register::<Notify, _, _>(move |notify, running| {
        let users = users.clone();
        async move { tell(&users, &notify, &running).await }
    });
}

async fn tell(users: &Users, notify: &Notify, running: &Running) -> Result<(), JobError> {
    let notice = Notice {
        subject: "The roof leaks".to_owned(),
        event: "It rains in. <b>See</b> [here](https://evil.example).".to_owned(),
        advice: "Mend it.".to_owned(),
    };
    users.notify_owners(running, notify.organization, &notice).await?;
    if notify.fail_afterwards { Err(JobError::Discard("on purpose".to_owned())) } else { Ok(()) }
}

async fn notify(team: &Team, organization: OrgId, fail_afterwards: bool) {
    team.house.enqueue(&Notify { organization, fail_afterwards }).await;
    team.house.work().await;
}

fn own(team: &Team) -> OrgId {
    team.path.rsplit('/').next().expect("an id").parse().expect("an id")
}

/// The addresses to which the notice went, in order.
fn told(team: &Team) -> Vec<String> {
    let mails = team.house.mailbox.list().into_iter().map(|kept| kept.mail);
    let mut told: Vec<String> =
        mails.filter(|mail| mail.subject == "The roof leaks").map(|mail| mail.to.clone()).collect();
    told.sort();
    told
}

#[tokio::test]
async fn every_owner_who_can_log_in_gets_the_notice_and_nobody_else() {
    let team = Team::open().await;
    let second = team.join("second", "owner").await;
    let locked = team.join("locked", "owner").await;
    team.join("admin", "admin").await;
    team.join("viewer", "viewer").await;
    team.house.sql("UPDATE users.accounts SET disabled_at = now() WHERE email = 'locked@example.com'").await;
    assert_eq!(locked.email, "locked@example.com");
    notify(&team, own(&team), false).await;
    let mut owners = [team.owner.email.clone(), second.email];
    owners.sort();
    assert_eq!(told(&team), owners);
    let mails = team.house.mailbox.to(&team.owner.email);
    let mail = &mails.first().expect("a mail").mail;
    let html = mail.html.as_deref().expect("HTML");
    for part in ["It rains in.", "Mend it.", "Hello "] {
        assert!(mail.text.contains(part) && html.contains(part), "{part} is missing in\n{}", mail.text);
    }
    assert!(!html.contains("<b>") && !html.contains("href=\"https://evil.example"), "{html}");
}

#[tokio::test]
async fn a_notice_is_sent_once_whatever_its_job_does_afterwards() {
    let team = Team::open().await;
    notify(&team, own(&team), true).await;
    team.house.work().await;
    assert_eq!(told(&team).len(), 1);
}

#[tokio::test]
async fn an_organization_that_is_gone_has_nobody_to_tell() {
    let team = Team::open().await;
    notify(&team, OrgId::new(), false).await;
    assert_eq!(told(&team), Vec::<String>::new());
    assert_eq!(team.house.count("SELECT count(*) FROM platform.jobs").await, 0);
    assert_eq!(team.house.count("SELECT count(*) FROM platform.dead_jobs").await, 0);
}
