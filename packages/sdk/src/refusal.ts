// A reason → what the bearer is told: status, challenge (RFC 6750 §3), problem (RFC 9457). And that as an HTTP
// response, in one place for every guard.
import type { Code, Problem, Question, Reason, Refused } from './verdict.ts'

export type Wording = {
  /** Of the challenge; default `api`. */
  readonly realm?: string | undefined
  /** Latchkey's public URL: problems then link to its page about them. Default: no link. */
  readonly issuer?: string | undefined
}

const kinds: Record<Code, { status: 401 | 403 | 503; title: string }> = {
  'invalid-token': { status: 401, title: 'Unauthorized' },
  'insufficient-scope': { status: 403, title: 'Forbidden' },
  'ip-not-allowed': { status: 403, title: 'Forbidden' },
  unavailable: { status: 503, title: 'Service Unavailable' },
}

const details: Record<Code, string> = {
  // Unknown, expired and revoked read the same: which it was is for the owner to see, not for who holds it.
  'invalid-token': 'The token is not valid. Get a new one.',
  'insufficient-scope': 'The token lacks a scope.',
  'ip-not-allowed': 'The token may not be used from this address.',
  unavailable: 'It cannot be known at the moment whether the token is good. Try again.',
}

/** @param missing scopes, when that is the reason */
export function refuse(
  reason: Reason,
  question: Question,
  wording: Wording,
  missing: readonly string[] = [],
): Refused {
  const code = codeOf(reason)
  const required = question.scopes ?? []
  return {
    active: false,
    status: kinds[code].status,
    code,
    reason,
    missingScopes: missing,
    challenge: challengeOf(code, reason, required, wording.realm ?? 'api'),
    retryAfterSeconds: code === 'unavailable' ? 1 : null,
    problem: problemOf(code, detailOf(code, reason, required), wording, required),
  }
}

function codeOf(reason: Reason): Code {
  if (reason === 'missing_scope') return 'insufficient-scope'
  if (reason === 'ip_not_allowed') return 'ip-not-allowed'
  const trouble = reason === 'unavailable' || reason === 'credentials_refused' || reason === 'closed'
  return trouble ? 'unavailable' : 'invalid-token'
}

function detailOf(code: Code, reason: Reason, required: readonly string[]): string {
  if (reason === 'no_token') return 'No token was presented. Send "Authorization: Bearer <token>".'
  return code === 'insufficient-scope' ? `This needs the scope ${required.join(' ')}.` : details[code]
}

function challengeOf(code: Code, reason: Reason, required: readonly string[], realm: string): string | null {
  const challenge = `Bearer realm="${quotable(realm)}"`
  // RFC 6750 §3.1: no error code for a caller that presented nothing.
  if (reason === 'no_token') return challenge
  if (code === 'invalid-token') return `${challenge}, error="invalid_token"`
  if (code !== 'insufficient-scope') return null
  return `${challenge}, error="insufficient_scope", scope="${quotable(required.join(' '))}"`
}

/** RFC 6750 §3: what may stand between the quotes. */
const quotable = (text: string) => text.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '')

function problemOf(code: Code, detail: string, { issuer }: Wording, required: readonly string[]): Problem {
  return {
    type: issuer === undefined ? 'about:blank' : `${issuer.replace(/\/$/, '')}/problems/${code}`,
    ...kinds[code],
    detail,
    message: detail,
    code,
    ...(code === 'insufficient-scope' && { requiredScopes: required }),
  }
}

export type HttpRefusal = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** The response to a bearer that was refused; what all the guards send. */
export function httpRefusal(
  refused: Pick<Refused, 'problem' | 'challenge' | 'retryAfterSeconds'>,
): HttpRefusal {
  const { problem, challenge, retryAfterSeconds } = refused
  return {
    status: problem.status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      ...(challenge !== null && { 'www-authenticate': challenge }),
      ...(retryAfterSeconds !== null && { 'retry-after': String(retryAfterSeconds) }),
    },
    body: JSON.stringify(problem),
  }
}
