-- How an endpoint is doing: a breaker that all workers share, and why nothing is sent to it any more.

ALTER TABLE webhooks.endpoints
    -- Failed attempts since the last success. Enough of them open the breaker: nothing is sent until `paused_until`.
    ADD COLUMN consecutive_failures integer NOT NULL DEFAULT 0,
    -- Set while the breaker is not closed. Afterwards one delivery at a time is sent, until one arrives.
    ADD COLUMN paused_until timestamptz,
    -- How often the breaker opened since the last success: each pause is twice as long as the one before.
    ADD COLUMN pauses integer NOT NULL DEFAULT 0,
    -- `gone`: it said so. `failing`: nothing arrived for days.
    ADD COLUMN disabled_reason text;

-- The release before this one disabled endpoints for one reason only, and does so while both run: no reason means `gone`.
UPDATE webhooks.endpoints SET disabled_reason = 'gone' WHERE disabled_at IS NOT NULL;

ALTER TABLE webhooks.endpoints
    ADD CONSTRAINT endpoints_health_check CHECK (consecutive_failures >= 0 AND pauses >= 0) NOT VALID,
    ADD CONSTRAINT endpoints_disabled_reason_check CHECK (disabled_reason IN ('gone', 'failing')) NOT VALID;
