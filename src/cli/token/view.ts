// A token as the commands show it to people.
import type { Output } from '../output.ts'
import { type Cell, fields, instant, table } from '../people.ts'

/** As the API answers; docs/manage and the OpenAPI document say what each member is. */
export type Token = {
  readonly id: string
  readonly name: string
  readonly description: string | null
  readonly type: string
  readonly subject: string
  readonly team: string | null
  readonly audience: readonly string[]
  readonly scopes: readonly string[]
  readonly ipRestriction: string | null
  readonly metadata: Readonly<Record<string, string | number | boolean>>
  readonly active: boolean
  readonly status: string
  readonly createdAt: string
  readonly createdBy: string
  readonly expireAt: string | null
  readonly lastUsedAt: string | null
  readonly revokedAt: string | null
  readonly hint: string
  readonly secretVersion: number
  readonly previousEnds: string | null
  readonly previousSecretValidUntil: string | null
}

/** As provision and rotate answer: with the secret, this once. */
export type WithSecret = Token & { readonly token: string }

export const showToken = (output: Output, token: Token): void =>
  output.show({ json: { token }, quiet: [token.id], people: () => fields(tokenPairs(token)) })

export const showSecret = (output: Output, token: WithSecret): void =>
  output.show({
    json: { token },
    quiet: [token.token],
    people: () => fields([...tokenPairs(token), secretPair(token.token)]),
  })

export const secretPair = (secret: string) => ['secret, shown this once', secret] as const

export const tokenTable = (tokens: readonly Token[]): string =>
  table(
    ['ID', 'NAME', 'SUBJECT', 'STATUS', 'EXPIRES', 'LAST USED', 'SCOPES'],
    tokens.map(({ id, name, subject, status, expireAt, lastUsedAt, scopes }) => [
      id,
      name,
      subject,
      status,
      instant(expireAt, 'never'),
      instant(lastUsedAt, 'never'),
      scopes,
    ]),
  )

/** All that is known of it; what is not set is left out. */
export const tokenPairs = (token: Token): readonly (readonly [string, Cell])[] =>
  (
    [
      ['id', token.id],
      ['name', token.name],
      ['description', token.description],
      ['status', token.status],
      ['type', token.type],
      ['subject', token.subject],
      ['team', token.team],
      ['audience', token.audience],
      ['scopes', token.scopes],
      ['ip restriction', token.ipRestriction],
      ['metadata', Object.entries(token.metadata).map(([key, value]) => `${key}=${value}`)],
      ['expires', instant(token.expireAt, 'never')],
      ['last used', instant(token.lastUsedAt, 'never')],
      ['created', `${instant(token.createdAt, '')} by ${token.createdBy}`],
      ['hint', token.hint],
      ['former secret', formerSecret(token)],
    ] as const
  ).filter(([, value]) => value !== null && value.length > 0)

function formerSecret({ previousEnds, previousSecretValidUntil }: Token): string | null {
  if (previousEnds === null) return null
  const until = previousSecretValidUntil === null ? null : instant(previousSecretValidUntil, '')
  if (previousEnds === 'first-use')
    return `works until the new one is used${until === null ? '' : `, and ${until} at the latest`}`
  return until === null ? 'works' : `works until ${until}`
}
