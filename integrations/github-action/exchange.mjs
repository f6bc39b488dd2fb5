// Exchanges the job's identity for a token (RFC 8693), and says why not in words that lead on.
import { ask, MayPass, retryAfterMs } from './ask.mjs'

const urn = (name) => `urn:ietf:params:oauth:${name}`

export async function exchange(url, jwt, { scopes, services, seconds }) {
  const form = new URLSearchParams({
    grant_type: urn('grant-type:token-exchange'),
    subject_token_type: urn('token-type:jwt'),
    subject_token: jwt,
    expires_in: String(seconds),
  })
  if (scopes.length > 0) form.set('scope', scopes.join(' '))
  for (const service of services) form.append('audience', service)
  const asked = Date.now()
  const { status, headers, body } = await ask('Latchkey', `${url}/oauth2/token`, {
    method: 'POST',
    body: form,
  })
  if (status !== 200) throw refused(status, headers, body, jwt)
  const { access_token: token, expires_in: lifetime, scope } = body ?? {}
  // Nothing of it is shown: it may be the token after all.
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token) || !Number.isInteger(lifetime))
    throw new Error(`${url} answers, but not as Latchkey. Is the url right?`)
  return { token, scopes: String(scope ?? ''), expiresAt: new Date(asked + lifetime * 1_000).toISOString() }
}

function refused(status, headers, body, jwt) {
  const said = [body?.error, body?.error_description].filter((part) => typeof part === 'string').join(': ')
  const what = `Latchkey gives no token: ${status} ${said.slice(0, 300)}`
  if ([429, 502, 503, 504].includes(status)) return new MayPass(what, retryAfterMs(headers))
  return new Error(body?.error === 'invalid_request' ? `${what} ${lead(jwt)}` : what)
}

/** What a trust policy has its conditions on; GitHub puts nothing secret there. */
const telling = [
  'iss',
  'aud',
  'sub',
  'repository_id',
  'repository_owner_id',
  'ref',
  'environment',
  'event_name',
]

function lead(jwt) {
  const claims = JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString())
  const job = telling.filter((name) => name in claims).map((name) => `${name}=${claims[name]}`)
  return `The job is ${job.join(', ')}. Which claim is wrong, POST /api/v1/trust-policies/{id}/test tells an admin.`
}
