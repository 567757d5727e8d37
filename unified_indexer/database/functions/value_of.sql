-- One function for each column that effects need and a table may lack: the row's value, wherever it is kept.
-- {name}: the table. {column}, {type}: the column and its type. {value}: the query.

CREATE OR REPLACE FUNCTION unified_worker.{name}_{column}(p_key text) RETURNS {type} LANGUAGE sql STABLE AS $value$
  {value}
$value$;
