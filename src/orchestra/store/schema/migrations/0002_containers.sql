-- Containers: what else of its machine a task's jobs see in theirs (SRC:DST[:ro]), and the image that an attempt ran in.
alter table task add column binds text[] not null default '{}';
alter table attempt add column image_digest text;
