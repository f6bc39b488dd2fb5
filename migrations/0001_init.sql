-- The first tables. Frozen: a later change is a later file.

create table digest_key (
  id text collate "C" primary key,
  salt bytea not null,
  memory_kib integer not null,
  passes integer not null,
  lanes integer not null,
  check_value bytea not null,
  created_at timestamptz not null
);

create table service (
  id text collate "C" primary key,
  name text not null,
  description text,
  base_url text,
  checks_ip boolean not null default false,
  created_at timestamptz not null
);

create table service_secret (
  id text collate "C" primary key,
  service_id text collate "C" not null references service on delete cascade,
  phc text not null,
  hint text not null,
  created_at timestamptz not null
);
create index service_secret_service on service_secret (service_id);

create table scope_group (
  service_id text collate "C" not null references service on delete cascade,
  id text collate "C" not null,
  title text not null,
  position integer not null,
  primary key (service_id, id)
);

-- closure: the scope and all it implies, computed when it is declared, so that a check needs no recursion.
create table scope (
  name text collate "C" primary key,
  service_id text collate "C" not null references service on delete cascade,
  group_id text collate "C" not null,
  title text not null,
  description text,
  risk text not null check (risk in ('low', 'medium', 'high')),
  implies text[] not null,
  closure text[] not null,
  max_lifetime_days integer,
  position integer not null,
  foreign key (service_id, group_id) references scope_group (service_id, id) on delete cascade
);
create index scope_service on scope (service_id);

create table subject (
  id text collate "C" primary key,
  disabled_at timestamptz,
  scope_cap text[],
  created_at timestamptz not null
);

create table token (
  id text collate "C" primary key,
  type text not null check (type in ('personal', 'service', 'federated')),
  name text not null,
  description text,
  subject text collate "C" not null references subject,
  team text collate "C",
  audience text[] not null,
  scopes text[] not null,
  ip_ranges text[] not null,
  metadata jsonb not null,
  hint text not null,
  created_at timestamptz not null,
  created_by text not null,
  expire_at timestamptz,
  disabled_at timestamptz,
  revoked_at timestamptz,
  revoked_by text,
  secret_version integer not null default 1,
  revision integer not null default 1
);
create index token_subject on token (subject, id desc);

-- One row for each live or outgoing secret of a token; the secret itself is nowhere.
create table token_secret (
  digest bytea primary key,
  key_id text collate "C" not null references digest_key,
  token_id text collate "C" not null references token on delete cascade,
  version integer not null,
  created_at timestamptz not null,
  ends_at timestamptz
);
create index token_secret_token on token_secret (token_id);

-- Apart from token, and narrow: it is written often and never by the request that uses the token.
create table token_usage (
  token_id text collate "C" primary key references token on delete cascade,
  last_used_at timestamptz not null,
  last_used_ip text,
  last_user_agent text,
  exercised_scopes text[] not null,
  use_count bigint not null
);

create table audit_event (
  id text collate "C" primary key,
  at timestamptz not null,
  action text not null,
  actor text not null,
  actor_token_id text collate "C",
  token_id text collate "C",
  subject text collate "C",
  service_id text collate "C",
  request_id text,
  client_ip text,
  detail jsonb not null
);
create index audit_event_token on audit_event (token_id, id desc);
create index audit_event_subject on audit_event (subject, id desc);

-- Counts changes that could not be announced by NOTIFY. Every heartbeat reads it; when it has moved, the replica
-- forgets everything before it renews its lease.
create table silent_changes (
  id integer primary key check (id = 1),
  count bigint not null
);
insert into silent_changes (id, count) values (1, 0);

-- A revoke is for ever: the second wall behind the conditional updates of the code.
create function token_stays_revoked() returns trigger language plpgsql as $$
begin
  if old.revoked_at is not null and new.revoked_at is distinct from old.revoked_at then
    raise exception 'token % is revoked and stays so', old.id using errcode = 'check_violation';
  end if;
  return new;
end
$$;
create trigger token_stays_revoked before update on token for each row execute function token_stays_revoked();

-- What happened, happened.
create function audit_event_is_final() returns trigger language plpgsql as $$
begin
  raise exception 'audit events are never changed' using errcode = 'check_violation';
end
$$;
create trigger audit_event_is_final before update or delete on audit_event for each row execute function audit_event_is_final();
create trigger audit_event_stays before truncate on audit_event for each statement execute function audit_event_is_final();
