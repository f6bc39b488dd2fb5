// Ends a token by itself (RFC 7009).
import { ask, MayPass, retryAfterMs } from './ask.mjs'

/** @returns false: it was over already */
export async function revoke(url, token) {
  const { status, headers } = await ask('Latchkey', `${url}/oauth2/revoke`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: new URLSearchParams({ token }),
  })
  if (status === 200) return true
  if (status === 401) return false
  const what = `Latchkey answered ${status}.`
  throw status === 429 || status >= 500 ? new MayPass(what, retryAfterMs(headers)) : new Error(what)
}
