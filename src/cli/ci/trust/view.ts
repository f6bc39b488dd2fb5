// A trust policy as the commands show it to people.
import type { Output } from '../../output.ts'
import { segment } from '../../path.ts'
import { type Cell, fields, instant, table } from '../../people.ts'

export type Value = string | number | boolean
export type Conditions = Readonly<Record<string, Value | readonly Value[]>>

/** As the API answers; docs/automate/ci.md and the OpenAPI document say what each member is. */
export type Policy = {
  readonly id: string
  readonly name: string
  readonly description: string | null
  readonly provider: string
  readonly issuer: string
  readonly audience: string
  readonly conditions: Conditions
  readonly scopes: readonly string[]
  readonly team: string | null
  readonly services: readonly string[]
  readonly ipRestriction: string | null
  readonly maxLifetimeMinutes: number
  readonly subject: string
  readonly maker: string
  readonly expireAt: string | null
  readonly createdAt: string
  readonly createdBy: string
  readonly updatedAt: string
}

export const pathOf = (id: string, below = ''): string => `/api/v1/trust-policies/${segment(id)}${below}`

export const policyTable = (policies: readonly Policy[]): string =>
  table(
    ['ID', 'NAME', 'ISSUER', 'SUBJECT', 'MAKER', 'SCOPES'],
    policies.map(({ id, name, issuer, subject, maker, scopes }) => [
      id,
      name,
      issuer,
      subject,
      maker,
      scopes,
    ]),
  )

export const showPolicy = (output: Output, policy: Policy): void =>
  output.show({ json: { policy }, quiet: [policy.id], people: () => fields(policyPairs(policy)) })

/** What is not set is left out. */
const policyPairs = (policy: Policy): (readonly [string, Cell])[] =>
  (
    [
      ['id', policy.id],
      ['name', policy.name],
      ['description', policy.description],
      ['issuer', `${policy.issuer} (${policy.provider})`],
      ['audience', policy.audience],
      ...Object.entries(policy.conditions).map(([claim, value]) => [`  ${claim}`, valueText(value)] as const),
      ['scopes', policy.scopes],
      ['subject', policy.subject],
      ['team', policy.team],
      ['services', policy.services],
      ['ip restriction', policy.ipRestriction],
      ['lifetime', `at most ${policy.maxLifetimeMinutes} min`],
      ['ends', instant(policy.expireAt, 'never')],
      ['answers for it', policy.maker],
      ['created', `${instant(policy.createdAt, '-')} by ${policy.createdBy}`],
    ] as const
  ).filter(([, value]) => value !== null && value.length > 0)

/** Text as it is, anything else as in JSON, so that "42" and 42 differ. */
export function valueText(value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value.join(' or ')
  return JSON.stringify(value) ?? 'null'
}
