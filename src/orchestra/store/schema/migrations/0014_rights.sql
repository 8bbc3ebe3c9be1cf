-- Who may change what (services/rights.py).

-- owner_id: whose node it is; null is the admins'.
alter table node add column owner_id integer references person on delete set null;

-- person_id: who started the pilot, and so may end it; null where an older version did.
alter table pilot add column person_id integer references person on delete set null;

-- There is always an admin where there are users, and what existed before belongs to the first of them.
update person set is_admin = true
where id = (select min(id) from person) and not exists (select from person where is_admin);

update node set owner_id = (select min(id) from person where is_admin);
