-- Pilots join by keys alone (store/database.py). What a statement has changed has no keys, and may be 5,000 rows.
alter function job_changed() set enable_hashjoin = on;
