-- The procedure that takes away a deleted account's rows, with all that follows from them.
-- {schema}: where the record tables are.
-- {rows}: the query for the next records to take, of every type.
-- {shared}: the collections in which accounts compete for one key.
-- {take}: the call of apply_commit that deletes the records v_uris, whose kinds of deletion are v_kinds.
-- {step}: the most rows of one transaction.
-- {most_refused}: the most records that a wipe passes over.
-- {not_data_classes}: the classes of SQLSTATEs that are no fault of the data.

-- Takes away up to p_most rows, and more where the last step does; p_done says whether the account is wiped. The repo's row is
-- locked first, as every commit of it does. Last go the notifications: to the account, and of its records that are no more.
-- Where the database refuses a step, that is halved down to the record that it refuses; the others go all the same. The error
-- comes up when nothing else is left to take.
CREATE OR REPLACE PROCEDURE unified_worker.wipe(p_did text, p_most int, INOUT p_done boolean) LANGUAGE plpgsql AS $wipe$
DECLARE
  v_first text := 'at://' || p_did || '/'; v_end text := 'at://' || p_did || '0';  -- '0' is the character after '/'
  v_kinds smallint[]; v_uris text[]; v_taken int := 0; v_rows int := {step}; v_refused text[] := '{}';
  v_state text; v_message text; v_detail text;
BEGIN
  p_done := false;
  WHILE NOT p_done AND v_taken < p_most LOOP
    PERFORM FROM unified_worker.repos WHERE did = p_did AND wiping FOR UPDATE;
    IF NOT FOUND THEN
      p_done := true;
    ELSE
      DELETE FROM unified_worker.duplicate_records WHERE uri >= v_first AND uri < v_end AND collection NOT IN ({shared});
      SELECT array_agg(x.kind), array_agg(x.uri) INTO v_kinds, v_uris FROM (
        {rows}
        LIMIT v_rows) AS x (kind, uri);
      IF v_uris IS NULL OR cardinality(v_refused) >= {most_refused} THEN
        DELETE FROM {schema}.notifications WHERE recipient_did = p_did;
        DELETE FROM {schema}.notifications WHERE uri COLLATE "C" >= v_first AND uri COLLATE "C" < v_end;
        IF v_refused <> '{}' THEN
          COMMIT;
          RAISE EXCEPTION USING ERRCODE = v_state, DETAIL = v_detail,
            MESSAGE = format('%s records stay, %s for one: %s', cardinality(v_refused), v_refused[1], v_message);
        END IF;
        DELETE FROM unified_worker.commit_times WHERE uri >= v_first AND uri < v_end;
        UPDATE unified_worker.repos SET wiping = false, wiped_at = now(), updated_at = now() WHERE did = p_did;
        DELETE FROM unified_worker.stuck_wipes WHERE did = p_did;
        p_done := true;
      ELSE
        BEGIN
          PERFORM {take};
          SET CONSTRAINTS ALL IMMEDIATE;
          v_taken := v_taken + cardinality(v_uris);
          v_rows := least(2 * v_rows, {step});
        EXCEPTION WHEN OTHERS THEN
          GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL;
          IF left(v_state, 2) IN ({not_data_classes}) THEN
            RAISE;
          END IF;
          IF cardinality(v_uris) = 1 THEN
            v_refused := v_refused || v_uris;
          END IF;
          v_rows := greatest(cardinality(v_uris) / 2, 1);
        END;
      END IF;
    END IF;
    COMMIT;
  END LOOP;
END $wipe$;
