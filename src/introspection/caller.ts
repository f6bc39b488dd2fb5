// Who introspects or revokes over OAuth: a service by Basic, by form, or by both when they agree; or a bearer token
// (standards §0.1: what real clients send). Checking the credentials themselves is identity's and the guard's work.
import { type Authorization, readAuthorization } from '../guard/authorization.ts'
import { admitBearer, type GuardDependencies } from '../guard/guard.ts'
import type { Principal, ServicePrincipal } from '../guard/principal.ts'
import type { ClientIp } from '../http/client-ip.ts'
import type { ServiceIdentity } from '../identity/credentials.ts'
import type { OwnScope } from '../identity/own-scopes.ts'
import type { Form } from './form.ts'
import { OAuthError } from './oauth-error.ts'

/**
 * A promise only when the caller is not remembered.
 * @throws OAuthError, or the guard's Problem for a bearer token that is not good enough; at once or as a rejection
 */
export function authenticateCaller(
  authorization: string | undefined,
  form: Form,
  scopes: readonly OwnScope[],
  from: () => ClientIp,
  guard: GuardDependencies,
): Principal | Promise<Principal> {
  const remembered = authorization === undefined ? null : guard.recallHeader(authorization)
  if (remembered && form.get('client_id') === undefined && form.get('client_secret') === undefined) {
    return principalOf(remembered)
  }
  return authenticate(authorization, form, scopes, from, guard)
}

async function authenticate(
  authorization: string | undefined,
  form: Form,
  scopes: readonly OwnScope[],
  from: () => ClientIp,
  guard: GuardDependencies,
): Promise<Principal> {
  const given = withForm(readAuthorization(authorization), form)
  if (given.scheme === 'bearer') {
    return admitBearer(
      given.secret,
      { access: 'service', scopes, credentialsIn: 'header or form' },
      from(),
      guard,
    )
  }
  if (given.scheme !== 'basic') {
    const detail = 'Send client credentials by Basic or in the form, or a bearer token.'
    const trouble = given.scheme === 'malformed' ? 'The Authorization header cannot be read. ' : ''
    throw new OAuthError(401, 'invalid_client', trouble + detail, basic)
  }
  const service = await guard.checkCredentials(given.clientId, given.clientSecret, authorization)
  if (!service) throw new OAuthError(401, 'invalid_client', 'The client id or secret is wrong.', basic)
  return principalOf(service)
}

const principals = new WeakMap<ServiceIdentity, ServicePrincipal>()

function principalOf(service: ServiceIdentity): ServicePrincipal {
  let principal = principals.get(service)
  if (!principal) {
    principal = {
      kind: 'service',
      service,
      asker: { kind: 'service', id: service.id, checksIp: service.checksIp },
    }
    principals.set(service, principal)
  }
  return principal
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
