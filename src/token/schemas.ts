// The REST shapes of tokens: validation, types and the OpenAPI document all come from here.
import Type, { type Static } from 'typebox'
import { scopePattern } from '../policy/scopes.ts'

export const text = (most: number, description: string, example?: string) =>
  Type.String({
    minLength: 1,
    maxLength: most,
    format: 'text',
    description,
    ...(example && { examples: [example] }),
  })

/** Ids that others give: a subject, a team. Printable ASCII, as they go into headers and JWT-like claims. */
export const foreignId = (description: string, example: string) =>
  Type.String({
    pattern: '^[A-Za-z0-9][A-Za-z0-9._:@/+=|-]{0,99}$',
    description: `up to 100 of A-Z a-z 0-9 . _ : @ / + = | -, beginning with a letter or digit. ${description}`,
    examples: [example],
  })

export const scopeName = Type.String({ pattern: scopePattern, description: 'resource:action, lower case.' })
const scopeList = (description: string) =>
  Type.Array(scopeName, { maxItems: 100, uniqueItems: true, description, examples: [['posts:read']] })

const metadata = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9_.-]{1,40}$' }),
  Type.Union([Type.String({ maxLength: 500, format: 'text' }), Type.Number(), Type.Boolean()]),
  {
    maxProperties: 20,
    additionalProperties: false,
    description:
      'Up to 20 values of your own: text (500 characters), numbers, booleans. Keys of A-Z a-z 0-9 _ . - only.',
    examples: [{ repo: 'acme/site' }],
  },
)

export const ipRestriction = Type.Union(
  [
    Type.String({ maxLength: 4_000 }),
    Type.Array(Type.String({ maxLength: 100 }), { maxItems: 50 }),
    Type.Null(),
  ],
  {
    description:
      'Addresses and CIDRs, v4 and v6, from which the token may be used; separated by commas or spaces, or as an array.',
    examples: ['203.0.113.0/24, 2001:db8::/32'],
  },
)

const expireAt = Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
  description: 'When the token ends (RFC 3339, with zone). Left out: 90 days from now. null: never.',
  examples: ['2027-02-19T00:00:00Z'],
})
const expiresIn = Type.Union([Type.String({ maxLength: 40 }), Type.Integer({ minimum: 1 })], {
  description: 'Instead of expireAt: 30d, 12h, an ISO 8601 duration (P30D), or seconds.',
  examples: ['30d'],
})

const closed = { additionalProperties: false } as const

export const ProvisionBody = Type.Object(
  {
    name: text(100, 'What the token is for, for the people who will find it in a list.', 'ci'),
    description: Type.Optional(Type.Union([text(500, 'More about it.'), Type.Null()])),
    type: Type.Optional(
      Type.Enum(['personal', 'service'], {
        description: 'Whose it is: a person’s or a program’s.',
        default: 'personal',
      }),
    ),
    subject: Type.Optional(
      foreignId('Who owns it. Left out: the caller’s own subject. Another needs tokens:admin.', 'user_42'),
    ),
    scopes: Type.Optional(scopeList('What it may do; the smallest set. Each must be declared by a service.')),
    expireAt: Type.Optional(expireAt),
    expiresIn: Type.Optional(expiresIn),
    ipRestriction: Type.Optional(ipRestriction),
    team: Type.Optional(Type.Union([foreignId('The one team it is limited to.', 'team_a'), Type.Null()])),
    audience: Type.Optional(
      Type.Array(Type.String({ maxLength: 48 }), {
        maxItems: 20,
        uniqueItems: true,
        description: 'Services it is limited to. Left out or empty: any.',
        examples: [['posts']],
      }),
    ),
    metadata: Type.Optional(metadata),
  },
  closed,
)
export type ProvisionBody = Static<typeof ProvisionBody>

export const NarrowBody = Type.Object(
  {
    name: Type.Optional(text(100, 'A new name.', 'ci-2')),
    description: Type.Optional(Type.Union([text(500, 'A new description.'), Type.Null()])),
    scopes: Type.Optional(scopeList('Fewer scopes than now.')),
    expireAt: Type.Optional(expireAt),
    expiresIn: Type.Optional(expiresIn),
    ipRestriction: Type.Optional(ipRestriction),
    metadata: Type.Optional(metadata),
  },
  { ...closed, minProperties: 1 },
)
export type NarrowBody = Static<typeof NarrowBody>

const tokenProperties = {
  id: Type.String({ examples: ['tok_01jd3v8k2ne5prm0c4q9zt7hxw'] }),
  name: Type.String(),
  description: Type.Union([Type.String(), Type.Null()]),
  type: Type.Enum(['personal', 'service', 'federated']),
  subject: Type.String(),
  team: Type.Union([Type.String(), Type.Null()]),
  audience: Type.Array(Type.String(), { description: 'Empty: any service.' }),
  scopes: Type.Array(Type.String()),
  ipRestriction: Type.Union([Type.String(), Type.Null()]),
  metadata: Type.Object({}, { additionalProperties: true }),
  active: Type.Boolean(),
  status: Type.Enum(['active', 'disabled', 'expired', 'revoked']),
  createdAt: Type.String({ format: 'date-time' }),
  createdBy: Type.String({ description: 'The subject that made it.' }),
  expireAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description: 'null: never.' }),
  lastUsedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description: 'null: never used. Written in batches, so some seconds behind.',
  }),
  revokedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
  hint: Type.String({ description: 'Enough to recognise the secret by.', examples: ['lk_pat_3fZ8…Qk2c'] }),
  secretVersion: Type.Integer({ description: 'Counts rotations, from 1.' }),
  previousEnds: Type.Union([Type.Enum(['grace', 'first-use']), Type.Null()], {
    description: 'By what the secret before this one will end. null: none but this one works.',
  }),
  previousSecretValidUntil: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description:
      'Until when the secret before this one works, at the latest. null: it does not; or, with previousEnds first-use, until the first use of this one, whenever that is.',
  }),
}

export const TokenSchema = Type.Object(tokenProperties, { $id: 'Token', ...closed })
export type TokenView = Omit<Static<typeof TokenSchema>, 'metadata'> & {
  metadata: Record<string, string | number | boolean>
}

export const ProvisionedSchema = Type.Object(
  { ...tokenProperties, token: Type.String({ description: 'The secret itself. Shown this once.' }) },
  { $id: 'ProvisionedToken', ...closed },
)

const effect = {
  effectiveAt: Type.Optional(
    Type.String({
      format: 'date-time',
      description: 'From this moment on, every replica answers by this change.',
    }),
  ),
  effectiveBy: Type.Optional(
    Type.String({
      format: 'date-time',
      description: 'Instead of effectiveAt with Prefer: respond-async: from then on at the latest.',
    }),
  ),
}

export const RotatedSchema = Type.Object(
  {
    ...tokenProperties,
    token: Type.String({ description: 'The new secret. Shown this once.' }),
    ...effect,
  },
  { $id: 'RotatedToken', ...closed },
)

export const PausedSchema = Type.Object({ ...tokenProperties, ...effect }, { $id: 'PausedToken', ...closed })

export const RotateBody = Type.Object(
  {
    gracePeriod: Type.Optional(
      Type.Union([Type.String({ maxLength: 40 }), Type.Integer({ minimum: 0 })], {
        description:
          'For how long the present secret goes on working: 24h, PT24H or seconds, at most 90 days. Left out: not at all.',
        examples: ['24h'],
      }),
    ),
    previousEnds: Type.Optional(
      Type.Enum(['grace', 'first-use'], {
        description:
          'first-use: the present secret ends when the new one is first found good, and with the gracePeriod at the latest, if one is given.',
        default: 'grace',
      }),
    ),
    expireAt: Type.Optional(
      Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
        description:
          'A new end of the token. Left out: as it is. A later one only as far as the caller could provision such a token.',
        examples: ['2027-02-19T00:00:00Z'],
      }),
    ),
    expiresIn: Type.Optional(expiresIn),
  },
  closed,
)
export type RotateBody = Static<typeof RotateBody>

export const UsageSchema = Type.Object(
  {
    id: Type.String(),
    useCount: Type.Integer({ description: 'Checks that found it good.' }),
    lastUsedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
    lastUsedIp: Type.Union([Type.String(), Type.Null()], { description: 'Where Latchkey was told it.' }),
    lastUserAgent: Type.Union([Type.String(), Type.Null()], {
      description: 'Where the bearer itself called Latchkey or a gateway in front of it.',
    }),
    exercisedScopes: Type.Array(Type.String(), {
      description: 'Scopes that were ever asked of it. What it has beyond these may be taken away.',
    }),
  },
  { $id: 'TokenUsage', ...closed },
)

export const RevokedSchema = Type.Object(
  {
    message: Type.String(),
    status: Type.Integer(),
    id: Type.String(),
    revokedAt: Type.String({ format: 'date-time' }),
    effectiveAt: Type.String({
      format: 'date-time',
      description: 'From this moment on, no replica answers active for the token.',
    }),
  },
  { $id: 'RevokedToken', ...closed },
)

export const RevokingSchema = Type.Object(
  {
    message: Type.String(),
    status: Type.Integer(),
    id: Type.String(),
    revokedAt: Type.String({ format: 'date-time' }),
    effectiveBy: Type.String({
      format: 'date-time',
      description: 'From this moment on at the latest, no replica answers active for the token.',
    }),
  },
  { $id: 'RevokingToken', ...closed },
)

const time = (description: string) => Type.Optional(Type.String({ format: 'date-time', description }))

export const ListQuery = Type.Object(
  {
    status: Type.Optional(
      Type.Enum(['active', 'disabled', 'expired', 'revoked', 'any'], {
        description: 'Left out: all but the revoked.',
      }),
    ),
    type: Type.Optional(Type.Enum(['personal', 'service', 'federated'])),
    subject: Type.Optional(
      Type.String({
        maxLength: 100,
        format: 'text',
        description: 'Needs tokens:admin to be another than one’s own.',
      }),
    ),
    team: Type.Optional(Type.String({ maxLength: 100, format: 'text' })),
    scope: Type.Optional(
      Type.String({ maxLength: 100, format: 'text', description: 'Tokens that were given this scope.' }),
    ),
    q: Type.Optional(
      Type.String({ maxLength: 100, format: 'text', description: 'Part of name, description or hint.' }),
    ),
    createdAfter: time('Created after this time.'),
    createdBefore: time('Created before this time.'),
    expiresBefore: time('Ends before this time.'),
    lastUsedBefore: Type.Optional(
      Type.Union([Type.String({ format: 'date-time' }), Type.Literal('never')], {
        description: 'Last used before this time, or never.',
      }),
    ),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 30 })),
    cursor: Type.Optional(
      Type.String({ maxLength: 500, description: 'From the Link header of the page before.' }),
    ),
  },
  closed,
)

export const Id = Type.Object({ id: Type.String({ maxLength: 64, format: 'text', description: 'tok_…' }) })
export const IfMatch = Type.Object({
  'if-match': Type.Optional(
    Type.String({ maxLength: 200, description: 'ETag of the version that is meant.' }),
  ),
})
