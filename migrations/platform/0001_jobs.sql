-- The job queue: what waits or runs, what died, and what starts by the clock.

CREATE TABLE platform.jobs (
    id           uuid        PRIMARY KEY,
    queue        text        NOT NULL,
    name         text        NOT NULL,
    args         jsonb       NOT NULL,
    -- 0 high, 1 normal, 2 low.
    priority     smallint    NOT NULL CHECK (priority BETWEEN 0 AND 2),
    -- When the job is due. A claim moves it to the end of the lease, so that abandoned work simply becomes due again.
    run_at       timestamptz NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0,
    max_attempts integer     NOT NULL CHECK (max_attempts > 0),
    unique_key   text,
    -- Names the claim that runs the job. Whoever settles must still hold it.
    lease        uuid,
    request_id   text,
    traceparent  text,
    last_error   text,
    created_at   timestamptz NOT NULL DEFAULT now()
);

-- Claims read it from the left: one queue, one priority, what is due first.
CREATE INDEX jobs_due ON platform.jobs (queue, priority, run_at, id);

CREATE UNIQUE INDEX jobs_unique_key ON platform.jobs (name, unique_key) WHERE unique_key IS NOT NULL;

-- Every job is inserted, updated and deleted once: vacuum early, or claims walk over the dead rows.
ALTER TABLE platform.jobs SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Dead letters: jobs that failed for good, kept until an operator retries or discards them.
CREATE TABLE platform.dead_jobs (
    id           uuid        PRIMARY KEY,
    queue        text        NOT NULL,
    name         text        NOT NULL,
    args         jsonb       NOT NULL,
    priority     smallint    NOT NULL,
    attempts     integer     NOT NULL,
    max_attempts integer     NOT NULL,
    unique_key   text,
    request_id   text,
    traceparent  text,
    error        text        NOT NULL,
    created_at   timestamptz NOT NULL,
    died_at      timestamptz NOT NULL DEFAULT now()
);

-- Operators look for the dead of one name (or of one name and key), of one queue, and since a moment.
CREATE INDEX dead_jobs_name ON platform.dead_jobs (name, unique_key);
CREATE INDEX dead_jobs_queue ON platform.dead_jobs (queue, id);
CREATE INDEX dead_jobs_died ON platform.dead_jobs (died_at);

-- All jobs as operators see them. What is not dead has no index beyond those that the queue needs, as each would slow down
-- every job: an operator who looks for something rare among a million jobs waits for a second.
CREATE VIEW platform.job_entries AS
SELECT id,
       CASE WHEN run_at <= now() THEN 'waiting' WHEN lease IS NULL THEN 'scheduled' ELSE 'running' END AS state,
       queue, name, args, priority, attempts, max_attempts, unique_key, request_id, traceparent,
       last_error AS error, created_at,
       -- When it is or was due; while it runs, when its lease ends.
       run_at,
       NULL::timestamptz AS died_at,
       -- By this the planner leaves out the half that nobody asked for.
       false AS is_dead
  FROM platform.jobs
 UNION ALL
SELECT id, 'dead', queue, name, args, priority, attempts, max_attempts, unique_key, request_id, traceparent,
       error, created_at, NULL, died_at, true
  FROM platform.dead_jobs;

-- One row for each scheduled job; whoever moves next_at first enqueues the run.
CREATE TABLE platform.schedules (
    name    text        PRIMARY KEY,
    cron    text        NOT NULL,
    next_at timestamptz NOT NULL,
    -- When a worker last knew this schedule; forgotten ones are removed.
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- Modules cannot touch the tables; they enqueue in the transaction that causes the work …
CREATE FUNCTION platform.enqueue_job(
    new_id           uuid,
    new_queue        text,
    new_name         text,
    new_args         jsonb,
    new_priority     smallint,
    new_run_at       timestamptz,
    new_max_attempts integer,
    new_unique_key   text,
    new_request_id   text,
    new_traceparent  text
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, platform, pg_temp
AS $$
BEGIN
    INSERT INTO platform.jobs
        (id, queue, name, args, priority, run_at, max_attempts, unique_key, request_id, traceparent)
    VALUES
        (new_id, new_queue, new_name, new_args, new_priority, coalesce(new_run_at, now()), new_max_attempts, new_unique_key,
         new_request_id, new_traceparent)
    ON CONFLICT (name, unique_key) WHERE unique_key IS NOT NULL DO NOTHING;
END
$$;

-- … and settle in the transaction that holds the effect. Raising spoils the transaction of a worker that lost its lease, so
-- that its effect cannot be committed beside the effect of the worker that took over.
CREATE FUNCTION platform.settle_job(job_id uuid, job_lease uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, platform, pg_temp
AS $$
BEGIN
    DELETE FROM platform.jobs WHERE id = job_id AND lease = job_lease;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the lease on job % was lost', job_id USING ERRCODE = 'JB001';
    END IF;
END
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA platform FROM PUBLIC;
