use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use platform::events::{Event, Events};
use platform::jobs::Jobs;
use serde_json::{Value, json};
use test_support::{Answer, Ask};
use users::Config;
use users::events::{AccountErased, MemberAdded, MemberRemoved, OrganizationDeleted};

use crate::house::{House, PASSWORD, Tokens};

/// Somebody with an account, logged in.
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) token: String,
    pub(crate) refresh: String,
}

/// An organization and its owner, in a house of their own.
pub(crate) struct Team {
    pub(crate) house: House,
    pub(crate) owner: Person,
    /// Where the organization is.
    pub(crate) path: String,
}

impl Team {
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    /// With a changed configuration.
    pub(crate) async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let house = House::open_with(change).await;
        let owner = person(&house, "olga").await;
        let path = organization(&house, &owner).await;
        Self { house, owner, path }
    }

    /// Somebody without a place here.
    pub(crate) async fn stranger(&self, name: &str) -> Person {
        person(&self.house, name).await
    }

    /// Somebody new in the role, who came in as people do.
    pub(crate) async fn join(&self, name: &str, role: &str) -> Person {
        let person = self.stranger(name).await;
        let token = self.invited(&person.email, role).await;
        let accepted = self.accept(&person, &token).await.expect(200);
        assert_eq!(accepted["role"], role);
        person
    }

    /// One person in each role below the owner.
    pub(crate) async fn one_in_each_role(&self) -> Vec<Person> {
        let mut people = Vec::new();
        for role in ["admin", "member", "billing", "viewer"] {
            people.push(self.join(role, role).await);
        }
        people
    }

    /// The token that an invitation by the owner mails.
    pub(crate) async fn invited(&self, email: &str, role: &str) -> String {
        let _ = self.invite(&self.owner, email, role).send().await.expect(201);
        self.house.work().await;
        self.house.mailed_token(email)
    }

    pub(crate) fn invite(&self, inviter: &Person, email: &str, role: &str) -> Ask {
        let body = json!({ "email": email, "role": role });
        self.house.api.post(&format!("{}/invitations", self.path), &body).bearer(&inviter.token)
    }

    pub(crate) async fn accept(&self, person: &Person, token: &str) -> Answer {
        let ask = self.house.api.post("/v1/invitations/accept", &json!({ "token": token }));
        ask.bearer(&person.token).send().await
    }

    /// Makes the member something else.
    pub(crate) fn make(&self, caller: &Person, member: &Person, role: &str) -> Ask {
        self.house.api.patch(&self.place(member), &json!({ "role": role })).bearer(&caller.token)
    }

    pub(crate) fn remove(&self, caller: &Person, member: &Person) -> Ask {
        self.house.api.delete(&self.place(member)).bearer(&caller.token)
    }

    pub(crate) fn get(&self, caller: &Person, below: &str) -> Ask {
        self.house.api.get(&format!("{}{below}", self.path)).bearer(&caller.token)
    }

    /// Where a member is.
    pub(crate) fn place(&self, member: &Person) -> String {
        format!("{}/members/{}", self.path, member.id)
    }

    /// What somebody is here, as others see it; nothing for strangers.
    pub(crate) async fn role_of(&self, member: &Person) -> Option<String> {
        let shown = self.house.api.get(&self.place(member)).bearer(&self.owner.token).send().await;
        (shown.status == 200).then(|| shown.json()["role"].as_str().expect("a role").to_owned())
    }

    /// Opens every connection of the pool, so that racing requests do not follow one another on the first.
    pub(crate) async fn warm_up(&self) {
        let statuses = race((0..16).map(|_| self.get(&self.owner, "/members"))).await;
        assert_eq!(statuses, [200; 16]);
    }

    /// The same person an hour later: the session goes on, the login is old.
    pub(crate) async fn much_later(&self, person: &Person) -> Person {
        self.house.tick(3_600);
        let tokens = Tokens::from(self.house.refresh(&person.refresh).await.expect(200));
        Person { id: person.id.clone(), email: person.email.clone(), token: tokens.access, refresh: tokens.refresh }
    }
}

pub(crate) async fn person(house: &House, name: &str) -> Person {
    let email = format!("{name}@example.com");
    let id = house.users.seed_account(&email, PASSWORD, name).await.expect("an account").to_string();
    let Tokens { access, refresh } = Tokens::from(house.try_log_in(&email, PASSWORD).await.expect(200));
    Person { id, email, token: access, refresh }
}

/// The path of a new organization of the person.
pub(crate) async fn organization(house: &House, owner: &Person) -> String {
    let create = house.api.post("/v1/organizations", &json!({ "name": "Acme" })).bearer(&owner.token);
    let created = create.send().await.expect(201);
    format!("/v1/organizations/{}", created["id"].as_str().expect("an id"))
}

/// The entries of a page.
pub(crate) fn data(page: &Answer) -> Vec<Value> {
    page.expect(200)["data"].as_array().expect("data").clone()
}

/// Sends all at once; their statuses in ascending order.
pub(crate) async fn race(asks: impl IntoIterator<Item = Ask>) -> Vec<u16> {
    let answers = join_all(asks.into_iter().map(Ask::send)).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    statuses
}

/// What another module would have heard about members, in order.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    pub(crate) fn of(events: &Events, jobs: &mut Jobs) -> Self {
        let heard = Self::default();
        heard.hear::<MemberAdded>(events, jobs);
        heard.hear::<MemberRemoved>(events, jobs);
        heard.hear::<OrganizationDeleted>(events, jobs);
        heard.hear::<AccountErased>(events, jobs);
        heard
    }

    fn hear<E: Event>(&self, events: &Events, jobs: &mut Jobs) {
        let all = self.0.clone();
        events.hear(jobs, "tests", move |_: E, _| {
            all.lock().unwrap_or_else(PoisonError::into_inner).push(E::NAME.to_owned());
            async { Ok(()) }
        });
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
