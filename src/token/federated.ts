// Makes a token for a CI job that was vouched for. Who is vouched for, and what for, the exchange has decided
// (identity/trust); by hand none of this type is made (docs/decisions/0009).
import type { Actor } from '../audit/events.ts'
import { record } from '../audit/record.ts'
import { newId } from '../db/ids.ts'
import type { Trx } from '../db/tables.ts'
import { hintOf, mintSecret } from './format.ts'
import type { Mint } from './provision.ts'
import { insertToken, type NewToken } from './queries.ts'

export type Federated = {
  readonly name: string
  readonly subject: string
  readonly team: string | null
  readonly audience: string[]
  readonly scopes: string[]
  readonly ranges: string[]
  /** Which trusts the job with it. */
  readonly policy: string
  /** Which run it is for. */
  readonly metadata: Readonly<Record<string, string>>
  readonly expireAt: Date
}

/** @returns the new token's id, and its secret: the only time that it is known */
export async function provisionFederated(
  trx: Trx,
  wanted: Federated,
  actor: Actor,
  { ring, prefix }: Pick<Mint, 'ring' | 'prefix'>,
  now: Date,
): Promise<{ id: string; secret: string }> {
  const { metadata, policy, ranges, expireAt, ...told } = wanted
  const id = newId('tok', now.getTime())
  const secret = mintSecret(prefix, 'federated')
  const token: NewToken = {
    ...told,
    id,
    type: 'federated',
    description: null,
    ip_ranges: ranges,
    metadata: JSON.stringify(metadata),
    trust_policy: policy,
    hint: hintOf(secret),
    created_at: now,
    created_by: actor.name,
    expire_at: expireAt,
  }
  await insertToken(trx, token, { digest: ring.digest(secret), key_id: ring.currentId, version: 1 })
  const { subject, ...rest } = told
  const detail = { ...rest, type: 'federated', ipRanges: ranges, expireAt, exchanged: metadata }
  await record(trx, { action: 'token.provisioned', tokenId: id, subject, detail }, actor, now)
  return { id, secret }
}
