// Who introspects or revokes over OAuth: a service by Basic, by form, or by both when they agree; or a bearer token
// (standards §0.1: what real clients send). Checking the credentials themselves is identity's and the guard's work.
import type { FastifyRequest } from 'fastify'
import { type Authorization, readAuthorization } from '../guard/authorization.ts'
import { admitBearer, type GuardDependencies } from '../guard/guard.ts'
import type { Principal } from '../guard/principal.ts'
import type { OwnScope } from '../identity/own-scopes.ts'
import type { Form } from './form.ts'
import { OAuthError } from './oauth-error.ts'

/** @throws OAuthError, or the guard's Problem for a bearer token that is not good enough */
export async function authenticateCaller(
  request: FastifyRequest,
  form: Form,
  scopes: readonly OwnScope[],
  dependencies: GuardDependencies,
): Promise<Principal> {
  const given = withForm(readAuthorization(request.headers.authorization), form)
  if (given.scheme === 'bearer') {
    const policy = { access: 'service', scopes, credentialsIn: 'header or form' } as const
    return admitBearer(given.secret, policy, request.clientIp, dependencies)
  }
  if (given.scheme !== 'basic') {
    throw new OAuthError(
      401,
      'invalid_client',
      'Send client credentials by Basic or in the form, or a bearer token.',
      basic,
    )
  }
  const service = await dependencies.checkCredentials(given.clientId, given.clientSecret)
  if (!service) throw new OAuthError(401, 'invalid_client', 'The client id or secret is wrong.', basic)
  return { kind: 'service', service, asker: { kind: 'service', ...service } }
}

const basic = { 'www-authenticate': 'Basic realm="latchkey"' }

/** Two ways at once are fine as long as they say the same (lua-resty-openidc does so), and refused otherwise. */
function withForm(header: Authorization, form: Form): Authorization {
  const clientId = form.get('client_id')
  const clientSecret = form.get('client_secret')
  if (clientSecret === undefined) {
    if (clientId !== undefined && header.scheme === 'basic' && clientId !== header.clientId)
      throw conflicting()
    return header
  }
  if (header.scheme === 'none') return { scheme: 'basic', clientId: clientId ?? '', clientSecret }
  const same =
    header.scheme === 'basic' && header.clientId === clientId && header.clientSecret === clientSecret
  if (!same) throw conflicting()
  return header
}

function conflicting(): OAuthError {
  return new OAuthError(400, 'invalid_request', 'The header and the form carry different credentials.')
}
