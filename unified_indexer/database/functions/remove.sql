-- One function for each record type: takes a row away, or, where it is about to be replaced (p_new: the new record's rest), only
-- what follows from it. Returns the row's unique key (an empty array for a type without one), null where there was no row.
-- {name}, {table}: the type's table, without and with its schema.
-- {key}, {key_value}: the column by which the row is found, and its value.
-- {lock}: takes the locks where the row meets others. {take}: deletes or clears the row.
-- {removed}: what else goes. {key_of_r}: the unique key of the row r.

-- p_at: the time of the commit that deletes the record; null where the row goes for another reason.
CREATE OR REPLACE FUNCTION unified_worker.remove_{name}(p_did text, v_uri text, p_new jsonb, p_at timestamptz)
RETURNS text[] LANGUAGE plpgsql AS $remove$
DECLARE
  r {table}; v_left int; v_quoted text;
BEGIN{lock}
  IF p_new IS NULL THEN
    {take} RETURNING t.* INTO r;
  ELSE
    SELECT t.* INTO r FROM {table} AS t WHERE t.{key} = {key_value};
  END IF;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;{removed}
  RETURN {key_of_r};
END $remove$;
