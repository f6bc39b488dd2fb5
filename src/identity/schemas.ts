// The REST shapes of services, their scopes, and subjects.
import Type, { type Static } from 'typebox'
import { scopePattern } from '../policy/scopes.ts'
import { clientSecretPattern } from './credentials.ts'

const closed = { additionalProperties: false } as const
const shortText = (most: number, description: string) =>
  Type.String({ minLength: 1, maxLength: most, format: 'text', description })
const url = Type.Union([Type.String({ format: 'uri', maxLength: 300, pattern: '^https?://' }), Type.Null()], {
  description: 'Where the service is reached.',
})
const clientSecret = Type.String({
  pattern: clientSecretPattern,
  description: '12 to 128 of A-Z a-z 0-9 _ -. Left out: one is generated and shown this once.',
})
const checksIp = Type.Boolean({
  description:
    'The service compares the caller’s address with ip_ranges itself. Else an introspection without client_ip finds an IP-restricted token inactive.',
})

const id = Type.String({ maxLength: 64, format: 'text' })

export const ServiceId = Type.Object({ id })

export const RegisterBody = Type.Object(
  {
    id: Type.String({
      pattern: '^[a-z][a-z0-9_-]{0,47}$',
      description: 'up to 48 of a-z 0-9 _ -, beginning with a letter',
      examples: ['posts'],
    }),
    name: shortText(100, 'For people.'),
    description: Type.Optional(Type.Union([shortText(500, 'More about it.'), Type.Null()])),
    baseUrl: Type.Optional(url),
    checksIp: Type.Optional(checksIp),
    clientSecret: Type.Optional(clientSecret),
  },
  closed,
)
export type RegisterBody = Static<typeof RegisterBody>

const serviceProperties = {
  id: Type.String(),
  name: Type.String(),
  description: Type.Union([Type.String(), Type.Null()]),
  baseUrl: Type.Union([Type.String(), Type.Null()]),
  checksIp,
  clientId: Type.String({ description: 'The same as the id.' }),
  credentials: Type.Array(
    Type.Object(
      { id: Type.String(), hint: Type.String(), createdAt: Type.String({ format: 'date-time' }) },
      closed,
    ),
  ),
  createdAt: Type.String({ format: 'date-time' }),
}
export const ServiceSchema = Type.Object(serviceProperties, { $id: 'Service', ...closed })
export type ServiceView = Static<typeof ServiceSchema>
export const RegisteredSchema = Type.Object(
  { ...serviceProperties, clientSecret: Type.Optional(Type.String({ description: 'Shown this once.' })) },
  { $id: 'RegisteredService', ...closed },
)

export const ServiceChanges = Type.Object(
  {
    name: Type.Optional(shortText(100, 'For people.')),
    description: Type.Optional(Type.Union([shortText(500, 'More about it.'), Type.Null()])),
    baseUrl: Type.Optional(url),
    checksIp: Type.Optional(checksIp),
  },
  { ...closed, minProperties: 1 },
)

export const CredentialBody = Type.Object({ clientSecret: Type.Optional(clientSecret) }, closed)
export const CredentialSchema = Type.Object(
  {
    id: Type.String(),
    clientId: Type.String(),
    hint: Type.String(),
    createdAt: Type.String({ format: 'date-time' }),
    clientSecret: Type.Optional(Type.String({ description: 'Shown this once.' })),
  },
  { $id: 'Credential', ...closed },
)
export const CredentialId = Type.Object({ id, credentialId: id })

const scopeName = Type.String({ pattern: scopePattern, description: 'resource:action, lower case' })
export const ScopesBody = Type.Object(
  {
    groups: Type.Array(
      Type.Object(
        {
          id: Type.String({ pattern: '^[a-z][a-z0-9_-]{0,47}$', description: 'a-z 0-9 _ -' }),
          title: shortText(100, 'For people.'),
        },
        closed,
      ),
      { maxItems: 50 },
    ),
    scopes: Type.Array(
      Type.Object(
        {
          name: scopeName,
          title: shortText(100, 'What it lets one do.'),
          description: Type.Optional(shortText(500, 'More about it.')),
          group: Type.String({ maxLength: 48, description: 'One of groups.' }),
          risk: Type.Optional(Type.Enum(['low', 'medium', 'high'], { default: 'medium' })),
          implies: Type.Optional(Type.Array(scopeName, { maxItems: 50, uniqueItems: true })),
          maxLifetimeDays: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 3_650, description: 'No token that has it lives longer.' }),
          ),
        },
        closed,
      ),
      { maxItems: 300 },
    ),
  },
  closed,
)

export const scopesShown = {
  service: Type.String(),
  groups: Type.Array(Type.Object({ id: Type.String(), title: Type.String() }, closed)),
  scopes: Type.Array(
    Type.Object(
      {
        name: Type.String(),
        title: Type.String(),
        description: Type.Union([Type.String(), Type.Null()]),
        group: Type.String(),
        risk: Type.Enum(['low', 'medium', 'high']),
        implies: Type.Array(Type.String()),
        maxLifetimeDays: Type.Union([Type.Integer(), Type.Null()]),
      },
      closed,
    ),
  ),
}

export const SubjectId = Type.Object({
  id: Type.String({
    pattern: '^[A-Za-z0-9][A-Za-z0-9._:@/+=|-]{0,99}$',
    description: 'The subject, percent-encoded where needed.',
  }),
})
export const SubjectBody = Type.Object(
  {
    disabled: Type.Optional(Type.Boolean({ description: 'A disabled subject’s tokens are all inactive.' })),
    scopeCap: Type.Optional(
      Type.Union([Type.Array(scopeName, { maxItems: 200, uniqueItems: true }), Type.Null()], {
        description: 'What its tokens may have at most, whatever they were given. null: no cap.',
      }),
    ),
  },
  { ...closed, minProperties: 1 },
)
export const SubjectSchema = Type.Object(
  {
    id: Type.String(),
    disabled: Type.Boolean(),
    disabledAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
    scopeCap: Type.Union([Type.Array(Type.String()), Type.Null()]),
  },
  { $id: 'Subject', ...closed },
)
