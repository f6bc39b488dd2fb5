-- Few secrets have an end of their own; a job looks for those that are long over.
create index token_secret_ends on token_secret (ends_at) where ends_at is not null;
