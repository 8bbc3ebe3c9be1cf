-- Mail: who wants none, what went out together and how, and which silence of a pilot was told.

alter table person add column mail boolean not null default true;

-- batch: the Message-ID under which a mail goes out, alone or with others in a digest; it stays while nobody knows
-- whether the server has taken it. sent_how: by which server or into which file. posted: the channels were told.
alter table outbox
    add column batch text,
    add column sent_how text,
    add column posted boolean not null default false;
create index outbox_of_person on outbox (person_id, sent_at);
create index outbox_of_task on outbox (task_id) where task_id is not null;

-- The silence of a pilot is told once: not again before it was heard of. What is silent by now is no news.
alter table pilot add column silence_told_at timestamptz;
update pilot set silence_told_at = now();
