"""Documents for people about a task, as HTML without scripts, packages or external content. Pure.

`page` makes the report of what `interface.reports.ReportTask` answers, and `charts` draws what `domain.charts`
decided. `markup` is the only place where HTML is put together, for mails as well.
"""
