-- What other services are told (PUBLISH), besides commits (apply_commits.sql): written in the transaction that it tells of, while
-- that holds the repo's row, so that the ids of one repo are in the order of its changes.
-- {publishes}: whether this session's worker publishes.

-- The account's status, as it stands now.
CREATE OR REPLACE FUNCTION unified_worker.tell_account(p_did text) RETURNS void LANGUAGE plpgsql AS $tell$
BEGIN
  IF {publishes} THEN
    INSERT INTO unified_worker.outbox (what, did, rev, seq, active, status)
    SELECT 'account', r.did, r.rev, r.account_seq, r.active, coalesce(r.status, CASE WHEN r.active THEN 'active' ELSE 'inactive' END)
    FROM unified_worker.repos AS r WHERE r.did = p_did;
  END IF;
END $tell$;

-- Rows of the repo were written from its whole CAR: which ones, only the tables know.
CREATE OR REPLACE FUNCTION unified_worker.tell_repaired(p_did text) RETURNS void LANGUAGE plpgsql AS $tell$
BEGIN
  IF {publishes} THEN
    INSERT INTO unified_worker.outbox (what, did, rev, seq)
    SELECT 'repaired', r.did, r.rev, r.seq FROM unified_worker.repos AS r WHERE r.did = p_did;
  END IF;
END $tell$;
