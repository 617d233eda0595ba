//! Idempotency keys.

use futures_util::future::join_all;
use platform::http::Problem;
use platform::jobs::{Jobs, enqueue};
use platform::once::{Answer, Once, OnceError, OnceKey, Opened, PruneIdempotencyKeys, register_pruning};

use crate::house::{House, effect};

fn request(body: &'static str) -> Once<&'static str> {
    let mut request_hash = [0; 32];
    request_hash[..body.len()].copy_from_slice(body.as_bytes());
    Once::new(Some(OnceKey { scope: [7; 32], request_hash }), body)
}

/// A use case: leaves an effect and answers with its name.
async fn act(house: &House, request: Once<&str>) -> Result<Answer<String>, OnceError> {
    match request.open(&house.db).await? {
        Opened::Replayed(answer) => Ok(answer),
        Opened::Fresh { mut tx, once, body } => {
            effect(&mut tx, body).await?;
            let answer = once.settle(&mut tx, body.to_owned()).await?;
            tx.commit().await?;
            Ok(answer)
        }
    }
}

fn fresh(value: &str) -> Answer<String> {
    Answer { value: value.to_owned(), replayed: false }
}

#[tokio::test]
async fn a_repetition_gets_the_same_answer_and_no_second_effect() {
    let house = House::build().await;
    assert_eq!(act(&house, request("pay")).await.expect("done"), fresh("pay"));
    assert_eq!(act(&house, request("pay")).await.expect("replayed"), Answer { replayed: true, ..fresh("pay") });
    assert_eq!(house.count("sample.effects").await, "1");
}

#[tokio::test]
async fn a_key_does_not_serve_another_body() {
    let house = House::build().await;
    act(&house, request("pay")).await.expect("done");
    let refused = act(&house, request("refund")).await.expect_err("the key is taken");
    let problem = Problem::from(refused);
    assert_eq!((problem.status().as_u16(), problem.code()), (422, "idempotency_key_reused"));
}

#[tokio::test]
async fn of_fifty_twins_one_runs_and_the_rest_are_turned_away() {
    let house = House::build().await;
    let twins = join_all((0..50).map(|_| request("pay").open::<String>(&house.db))).await;
    let mut running = Vec::new();
    let mut turned_away = Vec::new();
    for twin in twins {
        match twin {
            Ok(Opened::Fresh { tx, once, .. }) => running.push((tx, once)),
            Ok(Opened::Replayed(answer)) => panic!("nothing is answered yet: {answer:?}"),
            Err(error) => turned_away.push(Problem::from(error)),
        }
    }
    assert_eq!((running.len(), turned_away.len()), (1, 49));
    assert!(
        turned_away
            .iter()
            .all(|problem| (problem.status().as_u16(), problem.code()) == (409, "idempotency_in_progress"))
    );

    let (mut tx, once) = running.remove(0);
    once.settle(&mut tx, "paid".to_owned()).await.expect("settled");
    tx.commit().await.expect("committed");
    assert_eq!(act(&house, request("pay")).await.expect("replayed").value, "paid");
}

#[tokio::test]
async fn a_rollback_stores_nothing() {
    let house = House::build().await;
    if let Opened::Fresh { mut tx, once, body } = request("pay").open::<String>(&house.db).await.expect("opened") {
        once.settle(&mut tx, body.to_owned()).await.expect("settled");
    }
    assert_eq!(house.count("platform.idempotency_keys").await, "0");
    assert!(!act(&house, request("pay")).await.expect("done").replayed);
}

#[tokio::test]
async fn without_a_key_nothing_is_remembered() {
    let house = House::build().await;
    for _ in 0..2 {
        assert_eq!(act(&house, Once::new(None, "pay")).await.expect("done"), fresh("pay"));
    }
    assert_eq!(house.count("platform.idempotency_keys").await, "0");
}

#[tokio::test]
async fn keys_are_removed_after_a_day_in_bounded_batches() {
    let house = House::build().await;
    house
        .sql(
            "INSERT INTO platform.idempotency_keys (scope, request_hash, answer, created_at)
             SELECT sha256(n::text::bytea), sha256(''), '1', now() - interval '24 hours' - n * interval '1 second'
             FROM generate_series(1, 2500) AS n",
        )
        .await;
    act(&house, request("pay")).await.expect("done");
    let mut jobs = Jobs::new();
    register_pruning(&mut jobs, house.databases.platform());
    house.commit(async |tx| enqueue(tx, &PruneIdempotencyKeys {}).await).await;
    assert_eq!(house.worker(jobs).run_due().await, 1);
    assert_eq!(house.count("platform.idempotency_keys").await, "1");
}
