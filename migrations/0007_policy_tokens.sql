-- Removing a trust policy ends what came of it: the tokens it gave, and those that they made. Not by metadata, which is
-- for its owner to change. No reference: the policy goes, what is known of its tokens stays.
alter table token add column trust_policy text collate "C";
create index token_trust_policy on token (trust_policy) where trust_policy is not null and revoked_at is null;
-- What was given before now ends within the hour.
update token set trust_policy = metadata ->> 'policy'
where type = 'federated' and revoked_at is null and expire_at > now() - interval '1 day';
