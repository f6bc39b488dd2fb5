// One question to Latchkey: POST /api/v1/verify. It answers with all that is known of a token that is good for this
// service, even when it refuses because of scope, team or address, so that later questions can be judged here.
import { causeOf } from './cause.ts'
import { judge } from './judge.ts'
import type { Latchkey } from './latchkey.ts'
import type { Known } from './memory.ts'
import { readAddress } from './network.ts'
import type { Question, Reason, Token } from './verdict.ts'

/** `certain`: may be kept. Trouble is a reason to refuse that may not. */
export type Answered = { readonly known: Known; readonly certain: boolean }
export type Ask = (secret: string, question: Question) => Promise<Answered>

export type AskOptions = {
  readonly timeoutMs: number
  /** Epoch milliseconds. */
  readonly now: () => number
  readonly fetch: typeof fetch
  readonly onTrouble: (message: string) => void
}

/** The returned function never rejects. */
export function createAsk(latchkey: Latchkey, options: AskOptions): Ask {
  const trouble = (reason: Reason, message: string): Answered => {
    options.onTrouble(message)
    return { known: { token: null, reason }, certain: false }
  }
  return async (secret, question) => {
    try {
      const response = await send(latchkey, bodyOf(secret, question), options)
      const text = await response.text()
      if (response.status === 200) {
        return (
          read(JSON.parse(text), question, options.now()) ??
          trouble('unavailable', 'Latchkey’s answer cannot be read')
        )
      }
      const refused = response.status === 401 || response.status === 403
      return trouble(
        refused ? 'credentials_refused' : 'unavailable',
        `Latchkey answered ${response.status}${refused ? ': check clientId and clientSecret' : ''}`,
      )
    } catch (error) {
      return trouble('unavailable', `Latchkey cannot be reached: ${causeOf(error)}`)
    }
  }
}

/** Once more when the connection breaks, as one does that Latchkey closes while we pick it up: asking changes nothing. */
async function send(
  { url, authorization }: Latchkey,
  body: string,
  { fetch, timeoutMs }: AskOptions,
): Promise<Response> {
  const signal = AbortSignal.timeout(timeoutMs)
  const attempt = () =>
    fetch(`${url}/api/v1/verify`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json', accept: 'application/json' },
      body,
      signal,
      // Whoever redirects us would get the secret.
      redirect: 'error',
    })
  return attempt().catch((error) => {
    if (signal.aborted) throw error
    return attempt()
  })
}

/** The whole question, for the record of how a token is used; what Latchkey would not take is judged here alone. */
function bodyOf(secret: string, { scopes = [], team, clientIp }: Question): string {
  const address = readAddress(clientIp)
  const takesScopes = scopes.length > 0 && scopes.length <= 50 && scopes.every((scope) => scope.length <= 100)
  return JSON.stringify({
    token: secret,
    ...(takesScopes && { requiredScopes: scopes }),
    ...(team !== undefined && team.length <= 100 && { team }),
    ...(address !== null && { clientIp: address }),
  })
}

/** Refusals after which the token is good for other questions. */
const onlyForThis = new Set(['missing_scope', 'wrong_team', 'ip_not_allowed'])

/** @returns null when it is no answer of Latchkey's */
function read(answer: unknown, question: Question, now: number): Answered | null {
  if (!isObject(answer) || typeof answer['valid'] !== 'boolean' || typeof answer['code'] !== 'string')
    return null
  const { valid, code } = answer
  const token = readToken(answer['token'])
  if (valid) return token && { known: { token }, certain: true }
  // Should Latchkey refuse what we would let in, Latchkey is right, and our judgement is not to be relied on.
  if (!token || !onlyForThis.has(code)) return { known: { token: null, reason: code }, certain: true }
  if (judge(token, question, now) === null) return { known: { token: null, reason: code }, certain: false }
  return { known: { token }, certain: true }
}

function readToken(value: unknown): Token | null {
  if (!isObject(value)) return null
  const { id, type, subject, team, audience, scopes, ipRestriction, createdAt, expireAt } = value
  const right =
    [id, type, subject, createdAt].every(isText) &&
    [team, ipRestriction, expireAt].every((one) => one === null || isText(one)) &&
    [audience, scopes].every((list) => Array.isArray(list) && list.every(isText))
  if (!right) return null
  return Object.freeze({
    id,
    type,
    subject,
    team,
    audience,
    scopes,
    ipRestriction,
    createdAt,
    expireAt,
  }) as Token
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
const isText = (value: unknown): value is string => typeof value === 'string'
