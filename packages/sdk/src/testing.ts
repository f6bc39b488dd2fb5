// A verifier for unit tests: no Latchkey, no network. Its tokens are any strings; they are judged as real ones are.
import { checkQuestion } from './judge.ts'
import type { Known } from './memory.ts'
import type { Wording } from './refusal.ts'
import type { Reason, Token, Verifier } from './verdict.ts'
import { verdictOn } from './verifier.ts'

/** A token's facts, as far as they matter to the test; or the reason for which it is refused. */
export type TestToken = Partial<Token> | { readonly refused: Reason }

export type TestVerifierOptions = Wording & {
  /** By secret. A secret that is not here is unknown. */
  readonly tokens: Readonly<Record<string, TestToken>>
  /** Epoch milliseconds. Default: the clock. */
  readonly now?: () => number
}

export type TestVerifier = Verifier & {
  /** From now on the secret is refused. */
  revoke(secret: string): void
}

export function createTestVerifier({
  tokens,
  now = Date.now,
  ...wording
}: TestVerifierOptions): TestVerifier {
  const known = new Map(
    Object.entries(tokens).map(([secret, token], index) => [secret, knownOf(token, index)]),
  )
  return {
    url: null,
    async verify(secret, question = {}) {
      checkQuestion(question)
      const found = secret === undefined ? no('no_token') : (known.get(secret) ?? no('not_found'))
      return verdictOn(found, question, now(), wording)
    },
    revoke: (secret) => void known.set(secret, no('revoked')),
    close() {},
  }
}

const no = (reason: Reason): Known => ({ token: null, reason })

function knownOf(given: TestToken, index: number): Known {
  if ('refused' in given) return no(given.refused)
  const token: Token = {
    id: `tok_test${index}`,
    type: 'personal',
    subject: 'user_test',
    team: null,
    audience: [],
    scopes: [],
    ipRestriction: null,
    createdAt: '2026-01-01T00:00:00.000Z',
    expireAt: null,
    ...given,
  }
  return { token }
}
