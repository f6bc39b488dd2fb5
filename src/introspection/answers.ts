// A Verdict as RFC 7662 says it, and as the JSON twin says it. Nothing is decided here.
import Type, { type Static } from 'typebox'
import type { Facts } from '../policy/facts.ts'
import type { Asker, Verdict } from '../policy/judge.ts'

/** The same bytes for every cause (RFC 7662 §2.2): why is for the audit log, not for who asks. */
export const inactiveAnswer = '{"active":false}'

/** @param issuer the `iss` of the answer @returns the body */
export function introspectionAnswer(verdict: Verdict, asker: Asker, issuer: string): string {
  if (!verdict.active) return inactiveAnswer
  const { facts } = verdict
  const subject = quoted(facts.subject)
  const end = endOf(facts)
  // Put together by hand: it costs a fifth of JSON.stringify on the whole, and this is the hottest line there is.
  return `{"active":true${scopeMember(facts.scopes)},"client_id":"${facts.tokenId}","username":${subject},"token_type":"Bearer"${
    end === null ? '' : `,"exp":${Math.floor(end / 1000)}`
  },"iat":${Math.floor(facts.createdAt / 1000)},"sub":${subject}${
    facts.audience.length > 0 ? `,"aud":${JSON.stringify(facts.audience)}` : ''
  },"iss":${quoted(issuer)},"jti":"${facts.tokenId}","token_kind":"${facts.type}"${
    facts.team === null ? '' : `,"team":${quoted(facts.team)}`
  }${rangesMember(facts, asker)}}`
}

/** Equal tokens share one list of scopes in memory, so its text is made once. */
const scopeMembers = new WeakMap<readonly string[], string>()

/** Omitted when empty: clients would read "" as one scope without a name (standards INT-25). */
function scopeMember(scopes: readonly string[]): string {
  let member = scopeMembers.get(scopes)
  if (member === undefined) {
    member = scopes.length > 0 ? `,"scope":${JSON.stringify(scopes.join(' '))}` : ''
    scopeMembers.set(scopes, member)
  }
  return member
}

/** As JSON (RFC 8259 §7); nearly all text needs no escape, and asking costs a tenth of JSON.stringify. */
const quoted = (text: string) => (/^[ !#-[\]-~]*$/.test(text) ? `"${text}"` : JSON.stringify(text))

/** For a service that compares addresses itself; others were judged by client_ip and need not know. */
function rangesMember({ ranges }: Facts, asker: Asker): string {
  const wanted = asker.kind === 'service' && asker.checksIp && ranges.length > 0
  return wanted ? `,"ip_ranges":${JSON.stringify(ranges)}` : ''
}

export function endOf({ expireAt, endsAt }: Facts): number | null {
  return expireAt === null || endsAt === null ? (expireAt ?? endsAt) : Math.min(expireAt, endsAt)
}

const nullable = Type.Union([Type.String(), Type.Null()])

const CheckedToken = Type.Object(
  {
    id: Type.String(),
    type: Type.Enum(['personal', 'service', 'federated']),
    subject: Type.String(),
    team: nullable,
    audience: Type.Array(Type.String()),
    scopes: Type.Array(Type.String(), {
      description: 'What it may do now: with what its scopes imply, within the subject’s cap.',
    }),
    ipRestriction: nullable,
    createdAt: Type.String({ format: 'date-time' }),
    expireAt: nullable,
  },
  { additionalProperties: false },
)

export const CheckSchema = Type.Object(
  {
    valid: Type.Boolean(),
    code: Type.String({
      description:
        'valid, not_found, expired, revoked, disabled, subject_disabled, rotated, wrong_audience, wrong_team, ip_not_allowed or missing_scope. Treat one you do not know as not valid.',
    }),
    missingScopes: Type.Array(Type.String()),
    token: Type.Union([CheckedToken, Type.Null()]),
  },
  { $id: 'Check', additionalProperties: false },
)
export type Check = Static<typeof CheckSchema>

export function checkAnswer(verdict: Verdict): Check {
  if (verdict.active) return { valid: true, code: 'valid', missingScopes: [], token: shown(verdict.facts) }
  // A token made for other services is none of the asker's business.
  const hidden = verdict.facts === null || verdict.code === 'wrong_audience'
  return {
    valid: false,
    code: verdict.code,
    missingScopes: [...verdict.missingScopes],
    token: hidden ? null : shown(verdict.facts!),
  }
}

function shown(facts: Facts): Check['token'] {
  const end = endOf(facts)
  return {
    id: facts.tokenId,
    type: facts.type,
    subject: facts.subject,
    team: facts.team,
    audience: [...facts.audience],
    scopes: [...facts.scopes],
    ipRestriction: facts.ranges.length > 0 ? facts.ranges.join(', ') : null,
    createdAt: new Date(facts.createdAt).toISOString(),
    expireAt: end === null ? null : new Date(end).toISOString(),
  }
}
