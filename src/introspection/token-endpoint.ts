// POST /oauth2/token: token exchange (RFC 8693), the one grant there is. The JWT is the credential, so no client
// authenticates; who is trusted with what is identity/trust's to decide, and why not is not said here.
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { App } from '../http/server.ts'
import type { Exchange, Outcome } from '../identity/trust/exchange.ts'
import type { Asked } from '../identity/trust/offer.ts'
import { type Form, readForm, required } from './form.ts'
import { oauthDoor } from './oauth-door.ts'
import { OAuthError } from './oauth-error.ts'

export const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'
const tokenType = (name: string) => `urn:ietf:params:oauth:token-type:${name}`
/** What CI providers give: an OpenID Connect ID token, or a JWT as such. */
const subjectTypes = [tokenType('jwt'), tokenType('id_token')]

const optional = (description: string) => Type.Optional(Type.String({ description }))
/** Documentation only: a form is checked by hand, because unknown parameters must be ignored and repeated ones not. */
const TokenForm = Type.Object({
  grant_type: Type.String({ examples: [exchangeGrant] }),
  subject_token: Type.String({ description: 'The token that the CI provider gave the job.' }),
  subject_token_type: Type.String({
    description: `${subjectTypes.join(' or ')}.`,
    examples: [subjectTypes[0]!],
  }),
  scope: optional('Scopes that the job needs, separated by spaces. Left out: all that the trust policy has.'),
  audience: optional('Id of a service that the token is to be limited to; may be repeated.'),
  resource: optional('The same by the service’s base URL; may be repeated.'),
  requested_token_type: optional(`${tokenType('access_token')}, if anything.`),
  expires_in: optional('Seconds, as far as the trust policy allows. Left out: 900.'),
})

const GrantedSchema = Type.Object(
  {
    access_token: Type.String(),
    issued_token_type: Type.String(),
    token_type: Type.String(),
    expires_in: Type.Integer(),
    scope: Type.String(),
  },
  { $id: 'ExchangedToken', additionalProperties: false },
)
const ErrorSchema = (description: string) =>
  Type.Object({ error: Type.String(), error_description: Type.Optional(Type.String()) }, { description })

export function tokenEndpoint(root: App, exchange: Exchange, onProvisioned: () => void): void {
  root.addSchema(GrantedSchema)
  oauthDoor(root, (app) => {
    app.route({
      method: 'POST',
      url: '/oauth2/token',
      config: {
        policy: { access: 'public' },
        catalog: {
          effects: { readOnly: false },
          note: 'A form, not JSON. Only what a trust policy allows is granted.',
        },
      },
      schema: {
        operationId: 'exchangeToken',
        summary: 'Exchange a CI provider’s token for a short-lived one (RFC 8693)',
        description:
          'Each token of the provider is exchanged once. Which jobs are trusted with what, the trust policies say.',
        tags: ['OAuth'],
        consumes: ['application/x-www-form-urlencoded'],
        body: TokenForm,
        response: {
          200: { $ref: 'ExchangedToken#' },
          400: ErrorSchema('invalid_request, invalid_scope, invalid_target or unsupported_grant_type.'),
          413: ErrorSchema('invalid_request: the body is too large.'),
          415: ErrorSchema('invalid_request: the body is no form.'),
          429: ErrorSchema('temporarily_unavailable: too much of what comes from there is worthless.'),
          503: ErrorSchema('temporarily_unavailable.'),
        },
      },
      handler: async (request, reply) => {
        const { form, targets } = readExchange(request)
        const from = { requestId: request.id, clientIp: request.clientIp.text }
        const outcome = await exchange(required(form, 'subject_token'), askedOf(form, targets), from)
        const answer = answerTo(outcome)
        onProvisioned()
        // RFC 6749 §5.1 wants both, for caches of any age.
        return reply.headers({ 'cache-control': 'no-store', pragma: 'no-cache' }).send(answer as never)
      },
    })
  })
}

/** @throws OAuthError for whatever is no request for an exchange */
function readExchange(request: FastifyRequest): { form: Form; targets: string[] } {
  const { form, targets } = readRepeatable(typeof request.body === 'string' ? request.body : '')
  if (required(form, 'grant_type') !== exchangeGrant)
    throw new OAuthError(400, 'unsupported_grant_type', 'The only grant is token exchange (RFC 8693).')
  if (!subjectTypes.includes(required(form, 'subject_token_type')))
    throw new OAuthError(
      400,
      'invalid_request',
      'The subject_token_type must be that of a jwt or an id_token.',
    )
  const wanted = form.get('requested_token_type')
  if (wanted !== undefined && wanted !== tokenType('access_token'))
    throw new OAuthError(400, 'invalid_request', 'The requested_token_type can only be access_token.')
  if (form.get('actor_token') !== undefined || form.get('actor_token_type') !== undefined)
    throw new OAuthError(400, 'invalid_request', 'There is no acting for others here: leave actor_token out.')
  return { form, targets }
}

/** RFC 8693 §2.1: audience and resource may be repeated; everything else not. */
function readRepeatable(body: string): { form: Form; targets: string[] } {
  const fields = new URLSearchParams(body)
  const targets = [...fields.getAll('audience'), ...fields.getAll('resource')].filter((one) => one !== '')
  fields.delete('audience')
  fields.delete('resource')
  return { form: readForm(fields.toString()), targets }
}

const mostNames = 100

function askedOf(form: Form, targets: readonly string[]): Asked {
  const scopes = (form.get('scope') ?? '').split(' ').filter((name) => name !== '')
  const seconds = form.get('expires_in')
  if (seconds !== undefined && !/^[1-9]\d{0,8}$/.test(seconds))
    throw new OAuthError(400, 'invalid_request', 'expires_in must be a whole number of seconds.')
  if (scopes.length > mostNames || targets.length > mostNames)
    throw new OAuthError(400, 'invalid_request', 'Too many names.')
  return {
    scopes: scopes.length === 0 ? null : scopes,
    targets,
    seconds: seconds === undefined ? null : Number(seconds),
  }
}

/** @throws OAuthError for every outcome but a grant */
function answerTo(outcome: Outcome) {
  switch (outcome.kind) {
    case 'granted':
      return {
        access_token: outcome.secret,
        issued_token_type: tokenType('access_token'),
        token_type: 'Bearer',
        expires_in: outcome.expiresInSeconds,
        scope: outcome.scopes.join(' '),
      }
    // RFC 8693 §2.2.2: invalid_request, not invalid_grant. The same words for every cause.
    case 'untrusted':
      throw new OAuthError(400, 'invalid_request', 'The subject_token is not trusted here, or not any more.')
    case 'no_such_scope':
      throw new OAuthError(400, 'invalid_scope', 'Nothing of that scope is given for this subject_token.')
    case 'no_such_target':
      throw new OAuthError(
        400,
        'invalid_target',
        'No token for that audience or resource is given for this subject_token.',
      )
    case 'too_many':
      throw new OAuthError(429, 'temporarily_unavailable', 'Too many attempts came to nothing.', {
        'retry-after': '10',
      })
    case 'out_of_reach':
      throw new OAuthError(503, 'temporarily_unavailable', 'The issuer cannot be asked for its keys.', {
        'retry-after': '30',
      })
  }
}
