// What policy judges: everything about a token that bears on "may it do this, here, now?", as plain values.
// Where the values come from (memory or the database) is the verify room's business.

export type TokenType = 'personal' | 'service' | 'federated'

export type Facts = {
  readonly tokenId: string
  readonly type: TokenType
  readonly subject: string
  readonly team: string | null
  /** Services the token is limited to; empty: any. */
  readonly audience: readonly string[]
  /** Effective scopes, sorted: expanded by `implies`, capped by what the subject may now have. */
  readonly scopes: readonly string[]
  /** Normalised addresses and CIDRs the token may be used from; empty: anywhere. */
  readonly ranges: readonly string[]
  /** Epoch milliseconds, as are the two below. */
  readonly createdAt: number
  /** null: never. */
  readonly expireAt: number | null
  /** The end of this one secret, when a newer one has replaced it; null: lives as long as the token. */
  readonly endsAt: number | null
  /** The version of the secret before, which ends when this one is first found good; null: it waits for nothing. */
  readonly endsVersion: number | null
  /** `rotated`: the token lives, this one secret of it does not. */
  readonly state: 'active' | 'disabled' | 'revoked' | 'subject_disabled' | 'rotated'
}
