-- Step 13: workers that share the accounts share the repairs by the same hash.

CREATE FUNCTION unified_worker.crc32(p_text text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $crc$
DECLARE
  v_table constant bigint[] := '{0, 498536548, 997073096, 651767980, 1994146192, 1802195444, 1303535960, 1342533948,
    3988292384, 4027552580, 3604390888, 3412177804, 2607071920, 2262029012, 2685067896, 3183342108}';
  v_bytes constant bytea := convert_to(p_text, 'UTF8');
  v_crc bigint := 4294967295;
BEGIN
  FOR i IN 0..length(v_bytes) - 1 LOOP
    v_crc := v_crc # get_byte(v_bytes, i);
    v_crc := (v_crc >> 4) # v_table[(v_crc & 15) + 1];
    v_crc := (v_crc >> 4) # v_table[(v_crc & 15) + 1];
  END LOOP;
  RETURN v_crc # 4294967295;
END $crc$;

ALTER TABLE unified_worker.repairs ADD hash bigint NOT NULL GENERATED ALWAYS AS (unified_worker.crc32(did)) STORED;
COMMENT ON COLUMN unified_worker.repairs.hash IS 'CRC-32 of the did: modulo the number of shares it says whose repair it is.';
