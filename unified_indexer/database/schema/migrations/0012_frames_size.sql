-- Step 12: the size of all frames is written when a transaction ends, by a trigger: else its one row is a lock that all lanes
-- share, and one lane's long commit holds.

CREATE FUNCTION unified_worker.count_frames() RETURNS trigger LANGUAGE plpgsql AS $count$
BEGIN
  UPDATE unified_worker.dead_frames_size SET bytes = bytes + coalesce(length(NEW.frame), 0) - coalesce(length(OLD.frame), 0);
  RETURN NULL;
END $count$;

CREATE CONSTRAINT TRIGGER count_frames AFTER INSERT OR DELETE ON unified_worker.dead_frames
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION unified_worker.count_frames();
