// Puts together what trusting CI providers needs: their keys, and the exchange.
import type { Change } from '../../db/change.ts'
import type { Db } from '../../db/tables.ts'
import type { Mint } from '../../token/provision.ts'
import { createExchange, type Exchange } from './exchange.ts'
import { createFetchJson } from './fetch-json.ts'
import { createFlood } from './flood.ts'
import { type CheckSignature, createCheckSignature } from './keys.ts'

export type Trust = { readonly checkSignature: CheckSignature; readonly exchange: Exchange }

export type TrustParts = {
  readonly db: Db
  readonly change: Change
  readonly mint: Mint
  /** Latchkey's own. */
  readonly issuer: string
  readonly internalIssuers: readonly string[]
  readonly now: () => number
  readonly monotonic: () => number
  /** An issuer whose keys cannot be had. */
  readonly onTrouble: (issuer: string, error: Error) => void
}

export function createTrust(parts: TrustParts): Trust {
  const { db, change, mint, issuer, now, monotonic } = parts
  const checkSignature = createCheckSignature(
    createFetchJson(parts.internalIssuers),
    monotonic,
    parts.onTrouble,
  )
  // A runner that is set up wrongly tries a few times; a hundred worthless tokens at once are something else.
  const flood = createFlood(100, 5, now)
  const recorded = createFlood(60, 1, now)
  return {
    checkSignature,
    exchange: createExchange({ db, change, checkSignature, mint, issuer, now, flood, recorded }),
  }
}
