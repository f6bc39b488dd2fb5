-- Tokens are rotated, paused, and made again safely by who got no answer.

-- The secret of this version ends at the first use of the token's present one. null: nothing waits for that.
alter table token add column first_use_ends integer;
-- Who paused it; by_admin: not as its owner, so that its owner cannot undo it.
alter table token add column disabled_by text;
alter table token add column disabled_by_admin boolean not null default false;

-- It is over, whatever the clock of a replica says; then ends_at is when that was decided. Otherwise ends_at is a promise.
alter table token_secret add column ended boolean not null default false;
-- However many rotate at once, a version is made once.
create unique index token_secret_version on token_secret (token_id, version);
drop index token_secret_token;

-- Answers with a secret in them, for whoever asks again because the answer was lost. Sealed under a key that is made
-- from the caller's Idempotency-Key, which is not stored: the row alone opens nothing.
create table replay (
  id bytea primary key,
  fingerprint bytea not null,
  token_id text collate "C" not null references token on delete cascade,
  sealed bytea not null,
  expires_at timestamptz not null
);
create index replay_expires on replay (expires_at);
