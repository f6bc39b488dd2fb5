// The REST shapes of trust policies: validation, types and the OpenAPI document all come from here.
import Type, { type Static } from 'typebox'
import { foreignId, ipRestriction, scopeName, text } from '../../token/schemas.ts'
import { mostCharacters } from './jwt.ts'
import { providers } from './provider.ts'

const closed = { additionalProperties: false } as const
const nullable = Type.Union([Type.String(), Type.Null()])
const nullableTime = Type.Union([Type.String({ format: 'date-time' }), Type.Null()])

const value = Type.Union([
  Type.String({ minLength: 1, maxLength: 500, format: 'text' }),
  Type.Integer(),
  Type.Boolean(),
])
const conditions = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9_./:~-]{1,200}$' }),
  Type.Union([value, Type.Array(value, { minItems: 1, maxItems: 20, uniqueItems: true })]),
  {
    minProperties: 1,
    maxProperties: 20,
    additionalProperties: false,
    description:
      'Claim → the value it must have, or the values of which it must have one; all must hold. Compared exactly, types included. A name that begins with / is a JSON pointer into nested claims.',
    examples: [{ repository_id: '724513876', repository_owner_id: '9919', environment: 'production' }],
  },
)

const fields = {
  name: text(100, 'What is trusted, for the people who will find it in a list.', 'acme/site deploys'),
  description: Type.Union([text(500, 'More about it.'), Type.Null()]),
  audience: Type.String({
    minLength: 1,
    maxLength: 300,
    format: 'text',
    description: 'The aud that the CI’s token must have. Left out: this Latchkey’s own URL.',
  }),
  conditions,
  scopes: Type.Array(scopeName, {
    minItems: 1,
    maxItems: 100,
    uniqueItems: true,
    description: 'What the tokens may do at most.',
    examples: [['posts:write']],
  }),
  team: Type.Union([foreignId('The one team the tokens are limited to.', 'team_a'), Type.Null()]),
  services: Type.Array(Type.String({ maxLength: 48, format: 'text' }), {
    maxItems: 20,
    uniqueItems: true,
    description: 'Services the tokens are limited to. Left out or empty: any.',
    examples: [['posts']],
  }),
  ipRestriction,
  maxLifetimeMinutes: Type.Integer({
    minimum: 1,
    maximum: 60,
    description: 'No token of this policy lives longer. Left out: 15.',
  }),
  expireAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description: 'From then on the policy gives nothing. Left out or null: no end.',
  }),
}

/** Not changed later: another issuer or subject is another policy. */
const identity = {
  issuer: Type.String({
    minLength: 1,
    maxLength: 300,
    format: 'text',
    description: 'The iss of the CI’s tokens, letter by letter.',
    examples: ['https://token.actions.githubusercontent.com'],
  }),
  provider: Type.Enum(providers, {
    description:
      'What is known of its tokens. Needed for a GitHub or GitLab of one’s own; else the issuer tells.',
  }),
  subject: foreignId('Who owns the tokens. Left out: ci_ and the id of the policy.', 'ci_site'),
}

const { name, scopes, ...optional } = fields
const partial = Type.Partial(
  Type.Object({ ...optional, provider: identity.provider, subject: identity.subject }),
).properties

export const PolicyBody = Type.Object(
  { name, issuer: identity.issuer, ...partial, conditions, scopes },
  closed,
)
export type PolicyBody = Static<typeof PolicyBody>

export const PolicyChanges = Type.Object(Type.Partial(Type.Object(fields)).properties, {
  ...closed,
  minProperties: 1,
})
export type PolicyChanges = Static<typeof PolicyChanges>

export const PolicySchema = Type.Object(
  {
    id: Type.String({ examples: ['pol_01jd3v8k2ne5prm0c4q9zt7hxw'] }),
    name: Type.String(),
    description: nullable,
    provider: Type.Enum(providers),
    issuer: Type.String(),
    audience: Type.String(),
    conditions: Type.Object(
      {},
      { additionalProperties: true, description: 'Those that were left out included.' },
    ),
    scopes: Type.Array(Type.String()),
    team: nullable,
    services: Type.Array(Type.String()),
    ipRestriction: nullable,
    maxLifetimeMinutes: Type.Integer(),
    subject: Type.String(),
    maker: Type.String({
      description:
        'The subject that answers for it: who made it, or changed it last. What it gives ends with what that subject may have.',
    }),
    expireAt: nullableTime,
    createdAt: Type.String({ format: 'date-time' }),
    createdBy: Type.String(),
    updatedAt: Type.String({ format: 'date-time' }),
  },
  { $id: 'TrustPolicy', ...closed },
)
export type PolicyView = Omit<Static<typeof PolicySchema>, 'conditions'> & { conditions: object }

export const RemovedSchema = Type.Object({
  message: Type.String(),
  status: Type.Integer(),
  id: Type.String(),
  revokedTokens: Type.Integer({ description: 'How many that came of it were still good.' }),
})

export const PolicyId = Type.Object({
  id: Type.String({ maxLength: 64, format: 'text', description: 'pol_…' }),
})

export const PolicyQuery = Type.Object(
  {
    maker: Type.Optional(
      Type.String({ maxLength: 100, format: 'text', description: 'Those that this subject answers for.' }),
    ),
    team: Type.Optional(Type.String({ maxLength: 100, format: 'text' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 30 })),
    cursor: Type.Optional(
      Type.String({ maxLength: 500, description: 'From the Link header of the page before.' }),
    ),
  },
  closed,
)

export const TestBody = Type.Object(
  {
    token: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: mostCharacters,
        description: 'A token of the CI. It is checked in full, and not used up.',
      }),
    ),
    claims: Type.Optional(
      Type.Object(
        {},
        {
          additionalProperties: true,
          description: 'Instead: what such a token would say. Nothing is signed, so no signature is checked.',
        },
      ),
    ),
  },
  closed,
)

const anything = Type.Unknown({ description: 'null: the token does not have it.' })
export const TestedSchema = Type.Object(
  {
    matches: Type.Boolean({
      description: 'Whether the token would be exchanged, as far as this policy goes.',
    }),
    checks: Type.Array(
      Type.Object({ check: Type.String(), ok: Type.Boolean(), why: Type.String() }, closed),
      { description: 'What every token must meet: form, issuer, audience, time, single use, signature.' },
    ),
    conditions: Type.Array(
      Type.Object(
        {
          claim: Type.String(),
          expected: anything,
          actual: anything,
          ok: Type.Boolean(),
          why: Type.String(),
        },
        closed,
      ),
    ),
  },
  { $id: 'TrustPolicyTest', ...closed },
)
