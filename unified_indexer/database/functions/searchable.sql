-- What of a text goes into a search vector, as records/base/search_text.py says it: here for rows that have no vector yet.
-- {most_chars}: of a text. {comment}: what begins one. {marks}: the marks, {blanks}: as many spaces. {spaces}: what ends a word, {ends}:
-- as many spaces. {long_word}: in characters, more are looked at. {most_marks}: of such a word. {at_signs}: as many more marks an
-- at sign counts for.

CREATE OR REPLACE FUNCTION unified_worker.searchable(p_text text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS
$searchable$
  SELECT coalesce(string_agg(CASE WHEN length(w.word) > {long_word} AND length(w.word) - length(translate(w.word, {marks}, ''))
    + {at_signs} * (length(w.word) - length(replace(w.word, '@', ''))) > {most_marks}
    THEN translate(w.word, {marks}, {blanks}) ELSE w.word END, ' ' ORDER BY w.place), '')
  FROM unnest(string_to_array(translate(replace(left(p_text, {most_chars}), {comment}, ' '), {spaces}, {ends}), ' '))
    WITH ORDINALITY AS w (word, place)
$searchable$;
