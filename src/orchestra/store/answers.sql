-- Answers to changes that were made under an idempotency key.

-- name: allow_pauses
-- A change may compare a million files between two statements.
select set_config('idle_in_transaction_session_timeout', %(timeout)s, true)

-- name: begin
-- Waits for another transaction with the same key.
insert into api_answer (person_id, key, request) values (%(person)s, %(key)s, %(request)s)
on conflict do nothing
returning true

-- name: known
select request, answer from api_answer where person_id = %(person)s and key = %(key)s

-- name: finish
update api_answer set answer = %(answer)s where person_id = %(person)s and key = %(key)s
