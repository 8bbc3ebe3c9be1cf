-- What a job leaves in its output folder for `task results`. Tasks that exist get the usual name.
alter table task add column metrics_file text not null default 'metrics.json';
