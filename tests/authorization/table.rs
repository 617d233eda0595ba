use serde_json::{Value, json};

use crate::home::PASSWORD;

/// The kinds of callers, in the order of the columns. A stranger owns another organization; the tokens are the owner's. The
/// owner comes last: some rows end what the others need.
pub(super) const CALLERS: [&str; 10] =
    ["anonymous", "stranger", "removed", "viewer", "billing", "member", "admin", READ_TOKEN, WRITE_TOKEN, "owner"];
pub(super) const READ_TOKEN: &str = "read token";
pub(super) const WRITE_TOKEN: &str = "write token";

/// A status for each kind of caller.
pub(super) type Statuses = [u16; CALLERS.len()];

/// What each caller gets. A good request is sent, so a caller who may gets the 2xx.
pub(super) struct Row {
    pub(super) operation: &'static str,
    /// Which of the operation's cases this is, where they differ.
    pub(super) case: &'static str,
    pub(super) body: Option<Value>,
    pub(super) statuses: Statuses,
}

impl Row {
    /// A case of the operation that has permissions of its own.
    fn case(self, case: &'static str) -> Self {
        Self { case, ..self }
    }

    /// A case that wants a recent login, which no token has.
    fn with_recent_login(mut self) -> Self {
        self.statuses[at(WRITE_TOKEN)] = 403;
        self
    }

    /// What a kind of caller gets.
    pub(super) fn status(&self, caller: &str) -> u16 {
        self.statuses[at(caller)]
    }

    pub(super) fn name(&self) -> String {
        if self.case.is_empty() { self.operation.to_owned() } else { format!("{}, {}", self.operation, self.case) }
    }

    /// Whether what it is about cannot be asked for again while the first is not finished.
    pub(super) fn is_taken(&self) -> bool {
        self.operation == "replay_create"
    }

    /// Whether the request is about something of the caller's own.
    pub(super) fn is_personal(&self) -> bool {
        self.case == LEAVING || OF_ONES_OWN.contains(&self.operation)
    }
}

/// Operations on something that the caller has.
const OF_ONES_OWN: [&str; 5] =
    ["invitation_accept", "session_revoke", "personal_token_delete", "export_show", "me_delete"];

/// What the stage has to know of some cases.
pub(super) const OF_AN_OWNER: &str = "of an owner";
pub(super) const LEAVING: &str = "oneself";

/// The column of a kind of caller.
pub(super) fn at(caller: &str) -> usize {
    CALLERS.iter().position(|known| *known == caller).expect("a kind of caller")
}

fn row(operation: &'static str, body: impl Into<Option<Value>>, statuses: Statuses) -> Row {
    Row { operation, case: "", body: body.into(), statuses }
}

/// The same for everybody, with a token or without.
const fn world(status: u16) -> Statuses {
    [status; CALLERS.len()]
}

/// 401 without a token, the same for everybody with one.
const fn anybody_reads(status: u16) -> Statuses {
    [401, status, status, status, status, status, status, status, status, status]
}

/// The same, where a token needs the scope `write`.
const fn anybody_writes(status: u16) -> Statuses {
    [401, status, status, status, status, status, status, 403, status, status]
}

/// The same, where it takes a login: the account's own matters.
const fn anybody_logged_in(status: u16) -> Statuses {
    [401, status, status, status, status, status, status, 403, 403, status]
}

/// 401 without a token, 404 from outside of the organization; inside it depends on the role. The tokens are an owner's.
const fn members_read([viewer, billing, member, admin, owner]: [u16; 5]) -> Statuses {
    [401, 404, 404, viewer, billing, member, admin, owner, owner, owner]
}

/// The same, where a token needs the scope `write`.
const fn members_write([viewer, billing, member, admin, owner]: [u16; 5]) -> Statuses {
    [401, 404, 404, viewer, billing, member, admin, 403, owner, owner]
}

pub(super) fn table() -> Vec<Row> {
    let mut rows = credentials();
    rows.extend(open());
    rows.extend(organizations());
    rows.extend(billing());
    rows.extend(webhooks());
    rows.extend(last());
    rows
}

/// How people prove who they are, and what is theirs alone.
fn credentials() -> Vec<Row> {
    let wish = json!({ "email": "new@example.com", "password": "not-the-password-at-all", "name": "New" });
    let credentials = json!({ "email": "nobody@example.com", "password": "not-the-password-at-all" });
    let reset = json!({ "token": "unknown", "password": "not-the-password-at-all" });
    let change = json!({ "current_password": PASSWORD, "new_password": "another walk, by the river" });
    let (email, token) = (json!({ "email": "nobody@example.com" }), json!({ "token": "unknown" }));
    vec![
        // Open to the world.
        row("registration_create", wish, world(202)),
        row("registration_verify", token.clone(), world(400)),
        row("registration_resend", email.clone(), world(202)),
        row("session_create", credentials, world(401)),
        row("session_refresh", json!({ "refresh_token": "unknown" }), world(401)),
        row("password_forget", email, world(202)),
        row("password_reset", reset, world(400)),
        // For whoever is logged in.
        row("me_show", None, anybody_reads(200)),
        row("me_update", json!({ "name": "Ada" }), anybody_logged_in(200)),
        row("session_list", None, anybody_logged_in(200)),
        row("session_revoke", None, anybody_logged_in(204)),
        row("session_revoke_many", None, anybody_logged_in(204)),
        row("password_change", change, anybody_logged_in(204)),
        row("email_change_request", json!({ "new_email": "moved@example.com" }), anybody_logged_in(202)),
        row("email_change_confirm", token, anybody_logged_in(400)),
        row("personal_token_create", None, anybody_logged_in(201)),
        row("personal_token_list", None, anybody_logged_in(200)),
        row("personal_token_delete", None, anybody_logged_in(204)),
        row("export_create", None, anybody_logged_in(202)),
        row("export_show", None, anybody_logged_in(200)),
        row("totp_create", None, anybody_logged_in(200)),
        row("totp_confirm", json!({ "code": "123456" }), anybody_logged_in(422)),
        row("totp_delete", None, anybody_logged_in(204)),
    ]
}

fn open() -> Vec<Row> {
    vec![
        row("signing_key_list", None, world(200)),
        row("plan_list", None, world(200)),
        row("event_type_list", None, world(200)),
        row("inbound_event_receive", json!({ "signed": "by nobody" }), world(400)),
    ]
}

fn organizations() -> Vec<Row> {
    let (viewer, owner) = (json!({ "role": "viewer" }), json!({ "role": "owner" }));
    let invitation = |role: &str| json!({ "email": "new@example.com", "role": role });
    vec![
        row("organization_create", json!({ "name": "Mine" }), anybody_writes(201)),
        row("organization_list", None, anybody_reads(200)),
        row("invitation_accept", None, anybody_writes(200)),
        //                                            view  bill  memb  admn  ownr
        row("organization_show", None, members_read([200, 200, 200, 200, 200])),
        row("organization_update", json!({ "name": "Acme" }), members_write([403, 403, 403, 200, 200])),
        row("member_list", None, members_read([200, 200, 200, 200, 200])),
        row("member_show", None, members_read([200, 200, 200, 200, 200])),
        row("member_update", viewer.clone(), members_write([403, 403, 403, 200, 200])),
        row("member_update", viewer, members_write([403, 403, 403, 403, 200])).case(OF_AN_OWNER),
        row("member_update", owner, members_write([403, 403, 403, 403, 200])).case("to owner").with_recent_login(),
        row("member_delete", None, members_write([403, 403, 403, 204, 204])),
        row("member_delete", None, members_write([403, 403, 403, 403, 204])).case(OF_AN_OWNER),
        row("member_delete", None, members_write([204, 204, 204, 204, 204])).case(LEAVING),
        row("invitation_create", invitation("member"), members_write([403, 403, 403, 201, 201])),
        row("invitation_create", invitation("owner"), members_write([403, 403, 403, 403, 201]))
            .case(OF_AN_OWNER)
            .with_recent_login(),
        row("invitation_list", None, members_read([403, 403, 403, 200, 200])),
        row("invitation_delete", None, members_write([403, 403, 403, 204, 204])),
        row("invitation_delete", None, members_write([403, 403, 403, 403, 204])).case(OF_AN_OWNER),
        row("audit_entry_list", None, members_read([403, 403, 403, 200, 200])),
    ]
}

fn billing() -> Vec<Row> {
    vec![
        //                                        view  bill  memb  admn  ownr
        row("entitlement_list", None, members_read([200, 200, 200, 200, 200])),
        row("subscription_show", None, members_read([403, 200, 403, 200, 200])),
        row("checkout_open", None, members_write([403, 201, 403, 201, 201])),
        row("operation_show", None, members_read([403, 200, 403, 200, 200])),
    ]
}

fn webhooks() -> Vec<Row> {
    let endpoint = json!({ "url": "http://127.0.0.1:9/hook", "event_types": ["organization.created"] });
    vec![
        //                                        view  bill  memb  admn  ownr
        row("endpoint_list", None, members_read([200, 403, 200, 200, 200])),
        row("endpoint_show", None, members_read([200, 403, 200, 200, 200])),
        row("delivery_list", None, members_read([200, 403, 200, 200, 200])),
        row("delivery_show", None, members_read([200, 403, 200, 200, 200])),
        row("endpoint_create", endpoint, members_write([403, 403, 403, 201, 201])),
        row("endpoint_update", json!({ "description": "ours" }), members_write([403, 403, 403, 200, 200])),
        row("endpoint_secret_rotate", json!({ "overlap_seconds": 0 }), members_write([403, 403, 403, 200, 200])),
        row("endpoint_enable", None, members_write([403, 403, 403, 204, 204])),
        row("endpoint_test", None, members_write([403, 403, 403, 202, 202])),
        row("replay_create", None, members_write([403, 403, 403, 202, 202])),
        row("delivery_retry", None, members_write([403, 403, 403, 202, 202])),
        row("endpoint_delete", None, members_write([403, 403, 403, 204, 204])),
    ]
}

/// They end the organization and the sessions that the other rows use.
fn last() -> Vec<Row> {
    vec![
        row("me_delete", None, anybody_logged_in(204)),
        row("organization_delete", None, members_write([403, 403, 403, 403, 204])).with_recent_login(),
        row("session_end", None, anybody_logged_in(204)),
    ]
}
