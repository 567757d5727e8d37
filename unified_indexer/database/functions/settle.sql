-- One function for each record type with a unique key: of all records with one key the first holds it.
-- {name}, {table}, {collection}: the type's table, without and with its schema, and its collection.
-- {key_matches}: the condition on a row t that it holds the key. {came_of_r}: when the row r came. {cid}: its CID.
-- {quiet_of_r}: whether the record of the row r came with a whole repo, so that nobody is told of it.
-- {columns}: the columns that the worker writes. {removed}, {added}: what else goes and comes.

-- The first of those that wait takes the key if it is free or its holder is younger. Where accounts compete for a key, both
-- sides hold its lock, and the order is that of their commits: anybody can back-date a createdAt.
CREATE OR REPLACE FUNCTION unified_worker.settle_{name}(p_key text[]) RETURNS void LANGUAGE plpgsql AS $settle$
DECLARE
  v_first unified_worker.duplicate_records; r {table}; v_uri text; v_cid text; v_left int;
  v_again boolean := false; v_quiet boolean; p_new jsonb; p_at timestamptz; v_came timestamptz;
BEGIN
  SELECT * INTO v_first FROM unified_worker.duplicate_records
  WHERE collection = '{collection}' AND key = p_key ORDER BY came_at, created_at, uri LIMIT 1;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT t.* INTO r FROM {table} AS t WHERE {key_matches};
  IF FOUND THEN
    v_came := {came_of_r};
    IF (v_came, r.created_at, r.uri COLLATE "C") <= (v_first.came_at, v_first.created_at, v_first.uri) THEN
      RETURN;
    END IF;
    v_uri := r.uri;
    INSERT INTO unified_worker.duplicate_records (uri, collection, key, came_at, created_at, record)
    VALUES (v_uri, '{collection}', p_key, v_came, r.created_at, to_jsonb(r) || jsonb_build_object('record_cid', {cid}));
    DELETE FROM {table} AS t WHERE t.uri = v_uri;{removed}
  END IF;
  INSERT INTO {table} AS t ({columns})
  SELECT {columns} FROM jsonb_populate_record(NULL::{table}, v_first.record) RETURNING t.* INTO r;
  DELETE FROM unified_worker.duplicate_records WHERE uri = v_first.uri;
  v_uri := r.uri;
  v_cid := v_first.record ->> 'record_cid';
  v_quiet := coalesce((v_first.record ->> 'quiet')::boolean, {quiet_of_r});{added}
END $settle$;
