// The body of an OAuth request (RFC 6749 §3.2): a form in which no parameter may stand twice, and one without a value
// counts as left out.
import { OAuthError } from './oauth-error.ts'

export type Form = { get(name: string): string | undefined }

/** @throws OAuthError invalid_request */
export function readForm(body: string): Form {
  return soleToken(body) ?? readAll(body)
}

/** Nearly every introspection is just `token=…`, in characters that need no decoding. */
function soleToken(body: string): Form | null {
  if (!body.startsWith('token=')) return null
  const token = body.slice(6)
  return /^[0-9A-Za-z_]+$/.test(token) ? { get: (name) => (name === 'token' ? token : undefined) } : null
}

function readAll(body: string): Form {
  const form = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(body)) {
    if (form.has(name))
      throw new OAuthError(400, 'invalid_request', `The parameter ${printable(name)} is repeated.`)
    form.set(name, value)
  }
  return { get: (name) => form.get(name) || undefined }
}

/** @throws OAuthError when it is missing or empty */
export function required(form: Form, name: string): string {
  const value = form.get(name)
  if (value) return value
  throw new OAuthError(400, 'invalid_request', `The form parameter ${name} is missing.`)
}

const printable = (name: string) => name.slice(0, 24).replace(/[^A-Za-z0-9_.-]/g, '?')
