// Facts about tokens, from the database: one prepared query for any number of digests.
import { sql } from 'kysely'
import type { PreparedRead } from '../db/open.ts'
import { serverIdentity } from '../db/preparing-client.ts'
import { type Given, statement } from '../db/statement.ts'
import type { Trx } from '../db/tables.ts'
import type { Facts, TokenType } from '../policy/facts.ts'
import type { ReadFacts } from './flights.ts'

type Answer = { server: string } & ({ digest: null } | FactsRow)

export type FactsRow = {
  digest: Uint8Array
  id: string
  type: TokenType
  subject: string
  team: string | null
  audience: string[]
  scopes: string[]
  ip_ranges: string[]
  created_at: Date
  expire_at: Date | null
  ends_at: Date | null
  ends_version: number | null
  state: Facts['state']
}

// Every cause of death is looked at, of the token t, its owner o and the one secret s; any is enough.
export const stateColumn = `case when t.revoked_at is not null then 'revoked'
           when o.disabled_at is not null then 'subject_disabled'
           when t.disabled_at is not null then 'disabled'
           when s.ended then 'rotated'
           else 'active' end as state`

/** A later rotation may have made this secret the one before: then its use ends nothing any more. */
export const endsVersionColumn =
  'case when s.version = t.secret_version then t.first_use_ends end as ends_version'

// Effective scopes: what the token's scopes reach, as far as what the subject's cap reaches. A scope that no
// service declares any more reaches nothing.
export const effectiveScopes = (scopes: string, cap: string) => `
      array(select distinct reached from scope c, unnest(c.closure) reached
            where c.name = any(${scopes})
              and (${cap} is null or reached in
                (select capped from scope k, unnest(k.closure) capped where k.name = any(${cap})))
            order by reached)`

// One row at least, so that it is always known who answers.
const text = `
    select here.server, f.*
    from (select ${serverIdentity} as server) here
    left join lateral (
      select s.digest, s.ends_at, t.id, t.type, t.subject, t.team, t.audience, t.ip_ranges, t.created_at, t.expire_at,
        ${stateColumn}, ${endsVersionColumn},
        ${effectiveScopes('t.scopes', 'o.scope_cap')} as scopes
      from token_secret s
      join token t on t.id = s.token_id
      join subject o on o.id = t.subject
      where s.digest = any($1::bytea[])) f on true`

/** @param server the one whose answers count; null: any */
export function createLookup(read: PreparedRead, server: () => string | null): ReadFacts {
  // After a failover, a connection may still lead to the former primary, which knows nothing of later revokes.
  const isSound = (rows: readonly Answer[]) => server() === null || rows[0]?.server === server()
  return async (digests) => {
    const rows = await read<Answer>('facts by digest', text, [digests], isSound)
    const found = rows.filter((row): row is Answer & FactsRow => row.digest !== null)
    return new Map(found.map((row) => [Buffer.from(row.digest).toString('latin1'), factsOf(row)]))
  }
}

/** Of so many digests: one, or two while a secret of the operator's is being replaced. As a list, it would be planned each time. */
const factsBySome = (count: number) =>
  statement((_db, given: Given<Record<number, Buffer>>) => {
    const digests = Array.from({ length: count }, (_, at) => given[at]!)
    return sql<FactsRow>`
    select s.ends_at, t.id, t.type, t.subject, t.team, t.audience, t.ip_ranges, t.created_at, t.expire_at,
      ${sql.raw(stateColumn)}, ${sql.raw(endsVersionColumn)},
      ${sql.raw(effectiveScopes('t.scopes', 'o.scope_cap'))} as scopes
    from token_secret s join token t on t.id = s.token_id join subject o on o.id = t.subject
    where s.digest in (${sql.join(digests)})`
  })
const factsBy: ReturnType<typeof factsBySome>[] = []

/** What is true of a secret within this transaction; null: there is none. */
export async function factsWithin(trx: Trx, digests: readonly Buffer[]): Promise<Facts | null> {
  factsBy[digests.length] ??= factsBySome(digests.length)
  const { rows } = await factsBy[digests.length]!(trx, digests)
  return rows[0] ? factsOf(rows[0]) : null
}

export function factsOf(row: FactsRow): Facts {
  return {
    tokenId: row.id,
    type: row.type,
    subject: row.subject,
    team: row.team,
    audience: row.audience,
    scopes: row.scopes,
    ranges: row.ip_ranges,
    createdAt: row.created_at.getTime(),
    expireAt: row.expire_at?.getTime() ?? null,
    endsAt: row.ends_at?.getTime() ?? null,
    endsVersion: row.ends_version,
    state: row.state,
  }
}
