//! Threads that do nothing but hash. Each owns one memory block that it uses again and again, so a storm of logins costs
//! threads × 19 MiB and not a block for each request; the bounded queue turns what is too much into a quick 503.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use platform::secrets::Secrets;
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;

use super::phc::{HASH_BYTES, Hash, PARAMETERS, Parameters};
use super::{HashingConfig, Verdict};
use crate::Error;

const PEPPER: &str = "users.password_pepper";

pub(super) struct Threads {
    /// Started by the first password, so that a process that never hashes holds no memory for it.
    queue: OnceLock<SyncSender<Task>>,
    count: usize,
    length: usize,
    wait: Duration,
    secrets: Secrets,
}

struct Task {
    password: Vec<u8>,
    hash: Hash,
    answer: oneshot::Sender<Option<[u8; HASH_BYTES]>>,
}

impl Threads {
    pub(super) fn new(config: &HashingConfig, secrets: Secrets) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let count = if config.threads == 0 { cores.saturating_sub(1).max(1) } else { config.threads };
        let wait = Duration::from_millis(config.wait_ms);
        Self { queue: OnceLock::new(), count, length: config.queue, wait, secrets }
    }

    pub(super) async fn hash(&self, password: &str) -> Result<String, Error> {
        let mut hash = Hash::unmatchable(self.secrets.generation());
        hash.output = self.compute(password, hash.clone()).await?;
        Ok(hash.to_string())
    }

    pub(super) async fn verify(&self, password: &str, stored: &str) -> Result<Verdict, Error> {
        let Ok(hash) = stored.parse::<Hash>() else { return Ok(Verdict::Wrong) };
        let computed = self.compute(password, hash.clone()).await?;
        let right = bool::from(computed.ct_eq(&hash.output));
        Ok(match (right, hash.is_current(self.secrets.generation())) {
            (false, _) => Verdict::Wrong,
            (true, true) => Verdict::Right,
            (true, false) => Verdict::RightButOld,
        })
    }

    async fn compute(&self, password: &str, hash: Hash) -> Result<[u8; HASH_BYTES], Error> {
        let (answer, computed) = oneshot::channel();
        let task = Task { password: password.as_bytes().to_vec(), hash, answer };
        let queue = self.queue.get_or_init(|| self.start());
        queue.try_send(task).map_err(|_| Error::HashingBusy)?;
        // Giving up drops the receiver; a thread skips tasks nobody waits for any more.
        match tokio::time::timeout(self.wait, computed).await {
            Ok(Ok(computed)) => computed.ok_or(Error::HashingBroken),
            Ok(Err(_)) | Err(_) => Err(Error::HashingBusy),
        }
    }

    fn start(&self) -> SyncSender<Task> {
        let (queue, tasks) = sync_channel(self.length);
        let tasks = Arc::new(Mutex::new(tasks));
        for number in 0..self.count {
            let (tasks, secrets) = (tasks.clone(), self.secrets.clone());
            let thread = std::thread::Builder::new().name(format!("hashing-{number}"));
            if let Err(error) = thread.spawn(move || work(&tasks, &secrets)) {
                tracing::error!(%error, "a hashing thread could not be started");
            }
        }
        queue
    }
}

fn work(tasks: &Mutex<Receiver<Task>>, secrets: &Secrets) {
    let mut memory = Vec::new();
    loop {
        let next = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Task { password, hash, answer }) = next else { return };
        if !answer.is_closed() {
            // The caller may have gone in the meantime; then nobody needs the answer.
            answer.send(argon2id(&password, &hash, secrets, &mut memory)).ok();
        }
    }
}

/// `None` for parameters that cannot be used or a pepper that is gone, which is our mistake and not the person's.
fn argon2id(password: &[u8], hash: &Hash, secrets: &Secrets, memory: &mut Vec<Block>) -> Option<[u8; HASH_BYTES]> {
    let Parameters { memory: kibibytes, passes, lanes } = hash.parameters;
    if kibibytes > PARAMETERS.memory * 4 {
        return None;
    }
    let pepper = secrets.key(PEPPER, hash.pepper).ok()?;
    let params = Params::new(kibibytes, passes, lanes, Some(HASH_BYTES)).ok()?;
    memory.resize(params.block_count(), Block::default());
    let argon2 = Argon2::new_with_secret(&pepper, Algorithm::Argon2id, Version::V0x13, params).ok()?;
    let mut computed = [0; HASH_BYTES];
    argon2.hash_password_into_with_memory(password, &hash.salt, &mut computed, memory).ok()?;
    Some(computed)
}

#[cfg(test)]
mod tests {
    use platform::config::Secret;
    use platform::secrets::SecretsConfig;

    use super::*;

    fn threads(current: u8, queue: usize) -> Threads {
        let root =
            |generation: u8| (generation, Secret::from(format!("root secret number {generation} for these tests")));
        let secrets = Secrets::new(SecretsConfig { current, roots: [root(1), root(2)].into() });
        Threads::new(&HashingConfig { threads: 1, queue, wait_ms: 60_000 }, secrets)
    }

    #[tokio::test]
    async fn a_hash_matches_its_password_only() {
        let threads = threads(1, 4);
        let stored = threads.hash("correct horse battery").await.expect("hashes");
        assert_eq!(threads.verify("correct horse battery", &stored).await.expect("verifies"), Verdict::Right);
        assert_eq!(threads.verify("correct horse batterz", &stored).await.expect("verifies"), Verdict::Wrong);
        assert_eq!(threads.verify("anything", "not a hash").await.expect("verifies"), Verdict::Wrong);
    }

    #[tokio::test]
    async fn an_old_pepper_still_verifies_and_asks_for_a_new_hash() {
        let stored = threads(1, 4).hash("correct horse battery").await.expect("hashes");
        let verdict = threads(2, 4).verify("correct horse battery", &stored).await.expect("verifies");
        assert_eq!(verdict, Verdict::RightButOld);
    }

    #[tokio::test]
    async fn a_pepper_that_is_gone_is_our_mistake_and_not_a_wrong_password() {
        let gone = Hash::unmatchable(9).to_string();
        let verdict = threads(1, 4).verify("correct horse battery", &gone).await;
        assert!(matches!(verdict, Err(Error::HashingBroken)), "{verdict:?}");
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let threads = threads(1, 1);
        let attempts = (0..32).map(|_| threads.hash("correct horse battery"));
        let attempts = futures_util::future::join_all(attempts).await;
        assert!(attempts.iter().any(|attempt| matches!(attempt, Err(Error::HashingBusy))));
        assert!(attempts.iter().any(Result::is_ok));
    }
}
