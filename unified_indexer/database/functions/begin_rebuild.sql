-- Begins a rebuild: from then on the worker goes through its steps, beside the stream.
-- {names}: the steps in their order, as literals.

CREATE OR REPLACE FUNCTION unified_worker.begin_rebuild() RETURNS void LANGUAGE sql AS $begin$
  DELETE FROM unified_worker.rebuild;
  INSERT INTO unified_worker.rebuild (step, number)
  SELECT step, number FROM unnest(ARRAY[{names}]) WITH ORDINALITY AS s (step, number);
$begin$;
