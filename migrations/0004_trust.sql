-- CI jobs get tokens by what their provider says of them: trust policies, and which of its statements were used.

-- conditions: claim → a value, or the values of which it must be one. maker: the subject whose rights bound what it gives.
create table trust_policy (
  id text collate "C" primary key,
  name text not null,
  description text,
  provider text not null check (provider in ('github', 'gitlab', 'oidc')),
  issuer text collate "C" not null,
  audience text collate "C" not null,
  conditions jsonb not null,
  scopes text[] not null,
  team text,
  services text[] not null,
  ip_ranges text[] not null,
  max_lifetime_minutes integer not null check (max_lifetime_minutes between 1 and 60),
  subject text collate "C" not null references subject,
  maker text collate "C" not null references subject,
  maker_token_id text collate "C" not null,
  expire_at timestamptz,
  revision integer not null default 1,
  created_at timestamptz not null,
  created_by text not null,
  updated_at timestamptz not null
);
create index trust_policy_issuer on trust_policy (issuer);

-- A JWT is exchanged once, whichever replica it comes to. Kept until its age alone has it refused.
create table federated_use (
  issuer text collate "C" not null,
  jti_hash bytea not null,
  until timestamptz not null,
  primary key (issuer, jti_hash)
);
create index federated_use_until on federated_use (until);
