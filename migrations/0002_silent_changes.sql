-- Counts changes that could not be announced by NOTIFY. Every heartbeat reads it; when it has moved, the replica
-- forgets everything before it renews its lease.
create table silent_changes (
  id integer primary key check (id = 1),
  count bigint not null
);
insert into silent_changes (id, count) values (1, 0);
