-- One function for each count that is shown in tables of its own subject.
-- {column}: the count. {arms}: for each collection that shows it, the update of its table.

CREATE OR REPLACE FUNCTION unified_worker.show_{column}(p_uri text) RETURNS void LANGUAGE plpgsql AS $show$
BEGIN
  CASE split_part(p_uri, '/', 4)
{arms}
    ELSE NULL;
  END CASE;
END $show$;
