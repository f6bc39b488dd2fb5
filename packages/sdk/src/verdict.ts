// The words of the library: what is asked about a bearer, what is known of a token, what the answer is. No logic.

/** What Latchkey says about a token that is good for this service. */
export type Token = {
  /** `tok_…` */
  readonly id: string
  /** `personal`, `service` or `federated`; be ready for others. */
  readonly type: string
  /** Whose it is. */
  readonly subject: string
  readonly team: string | null
  /** Services it is limited to; empty: any. */
  readonly audience: readonly string[]
  /** What it may do now: with what its scopes imply, within what its subject may have. */
  readonly scopes: readonly string[]
  /** Addresses and CIDRs it may be used from, separated by commas; null: anywhere. */
  readonly ipRestriction: string | null
  /** ISO 8601. */
  readonly createdAt: string
  /** ISO 8601; null: never. */
  readonly expireAt: string | null
}

export type Question = {
  /** All of these are needed. Default: none. */
  readonly scopes?: readonly string[] | undefined
  /** The team the request is about; a token of another team is refused. Left out: any team will do. */
  readonly team?: string | undefined
  /** Where the bearer calls from. Left out, or no IP address: tokens with an IP restriction are refused. */
  readonly clientIp?: string | undefined
  /** Ask Latchkey, whatever is remembered: for the few requests that must not be a lease behind. Default: false. */
  readonly fresh?: boolean | undefined
}

/** What the bearer is told: the same codes as Latchkey's own API. */
export type Code = 'invalid-token' | 'insufficient-scope' | 'ip-not-allowed' | 'unavailable'

/** Why, for your own log. The bearer is not told. Latchkey may have more of them one day. */
export type Reason =
  | 'no_token'
  | 'malformed'
  | 'not_found'
  | 'expired'
  | 'revoked'
  | 'disabled'
  | 'subject_disabled'
  /** The token lives on with another secret. */
  | 'rotated'
  | 'wrong_audience'
  | 'wrong_team'
  | 'ip_not_allowed'
  | 'missing_scope'
  /** Latchkey is away, overloaded or answers nonsense. */
  | 'unavailable'
  /** Latchkey does not accept this service's own credentials. */
  | 'credentials_refused'
  /** close() was called. */
  | 'closed'
  | (string & {})

/** RFC 9457; `message` repeats `detail`, as Latchkey's do. */
export type Problem = {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly message: string
  readonly code: string
  readonly requiredScopes?: readonly string[]
}

export type Active = { readonly active: true; readonly token: Token }
export type Refused = {
  readonly active: false
  readonly status: 401 | 403 | 503
  readonly code: Code
  readonly reason: Reason
  /** Empty unless the code is `insufficient-scope`. */
  readonly missingScopes: readonly string[]
  /** For `WWW-Authenticate` (RFC 6750 §3); null where none belongs. */
  readonly challenge: string | null
  /** Set with status 503. */
  readonly retryAfterSeconds: number | null
  readonly problem: Problem
}

/** A value, never an exception. */
export type Verdict = Active | Refused

export type Verifier = {
  /**
   * @param secret what the bearer presented; undefined: nothing
   * @returns never rejects; trouble is a refusal with status 503
   */
  verify(secret: string | undefined, question?: Question): Promise<Verdict>
  /** Forgets everything and stops listening. What is asked afterwards is refused with status 503. */
  close(): void
  /** Where Latchkey is; null for a test double. */
  readonly url: string | null
}
