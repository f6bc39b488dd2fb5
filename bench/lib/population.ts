// The tokens that are measured: the i-th is the same here and in SQL, so that a million are in the database in
// seconds and their secrets need not be kept anywhere. Shapes are realistic: 24 scopes in some 400 sets, 2,000 teams,
// 2.5 tokens a subject, one in five without end.
import { hash } from 'node:crypto'
import type { Facts } from '../../src/policy/facts.ts'
import { checksum } from '../../src/token/format.ts'

const resources = [
  'artifacts',
  'billing',
  'payouts',
  'places',
  'posts',
  'transfers',
  'webhooks',
  'workspaces',
]
const actions = ['manage', 'read', 'write']

/** Sorted, as facts have them; declared by the service `posts`. */
export const scopes = resources.flatMap((name) => actions.map((action) => `${name}:${action}`))
export const createdAt = Date.parse('2026-01-01T00:00:00Z')
export const expireAt = Date.parse('2036-01-01T00:00:00Z')

const secretPrefix = 'lk_pat_'

export function secretOf(i: number): string {
  const random = hash('md5', `latchkey ${i}`).slice(0, 30)
  return secretPrefix + random + checksum(random)
}

/** Well formed, its checksum right, and made by nobody. */
export const strangerOf = (i: number) => secretOf(-1 - i)

/** What is remembered of the i-th token. */
export function factsOf(i: number): Facts {
  return {
    tokenId: tokenIdOf(i),
    type: 'personal',
    subject: `user_${Math.floor(i / 2.5)}`,
    team: i % 4 === 0 ? null : `team_${i % 2000}`,
    audience: [],
    scopes: scopes.filter((_, at) => holds(i, at)),
    ranges: [],
    createdAt,
    expireAt: i % 5 === 0 ? null : expireAt,
    endsAt: null,
    endsVersion: null,
    state: 'active',
  }
}

export function tokenIdOf(i: number): string {
  return `tok_01k${i.toString(16).padStart(9, '0')}${hash('md5', `id ${i}`).slice(0, 14)}`
}

/** posts:read for all; of the others one in five. */
const holds = (i: number, at: number) => scopes[at] === 'posts:read' || ((i % 400) * 7 + at * 3) % 5 === 0

const randomInSql = `left(md5('latchkey ' || i), 30)`
const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const digitInSql = (power: number) => `substr('${base62}', 1 + ((crc / ${62 ** power}) % 62)::int, 1)`
const checksumInSql = [5, 4, 3, 2, 1, 0].map(digitInSql).join(' || ')

/** Statements with numbered parameters from..to (exclusive), pads of the HMAC, scopes, key id: see load.ts. */
export const loadSubjects = `
  insert into subject (id, created_at)
  select 'user_' || n, '2026-01-01Z' from generate_series(floor($1::int / 2.5)::int, ceil($2::int / 2.5)::int) n
  on conflict do nothing`

export const loadTokens = `
  insert into token (id, type, name, subject, team, audience, scopes, ip_ranges, metadata, hint, created_at, created_by, expire_at)
  select 'tok_01k' || lpad(to_hex(i), 9, '0') || left(md5('id ' || i), 14), 'personal', 'bench ' || i,
    'user_' || floor(i / 2.5)::int, case when i % 4 = 0 then null else 'team_' || i % 2000 end, '{}', 
    sets.scopes, '{}', '{}', 'lk_pat_…', '2026-01-01Z', 'bench', case when i % 5 = 0 then null else '2036-01-01Z'::timestamptz end
  from generate_series($1::int, $2::int - 1) i
  join (select r, array(select s from unnest($3::text[]) with ordinality u (s, at)
      where s = 'posts:read' or (r * 7 + (at - 1) * 3) % 5 = 0 order by at) as scopes
    from generate_series(0, 399) r) sets on sets.r = i % 400`

export const loadSecrets = `
  insert into token_secret (digest, key_id, token_id, version, created_at)
  select sha256($4::bytea || sha256($3::bytea || convert_to('${secretPrefix}' || random || ${checksumInSql}, 'UTF8'))),
    $5, 'tok_01k' || lpad(to_hex(i), 9, '0') || left(md5('id ' || i), 14), 1, '2026-01-01Z'
  from (select i, random, crc32(convert_to(random, 'UTF8')) as crc
    from (select i, ${randomInSql} as random from generate_series($1::int, $2::int - 1) i) a) b`
